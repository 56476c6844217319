#!/bin/sh
# Tests the extension for VS Code: grammar, types, units, and in VS Code itself. It
# skips, with a reason, what this machine cannot.
set -eu
cd "$(dirname "$0")/../../.."

skip() {
  echo "test-vscode: skipped: $*"
  exit 0
}

command -v npm >/dev/null || skip 'there is no npm'
[ "$(node -p 'parseInt(process.versions.node) >= 20')" = true ] || skip "Node.js 20 is needed, this is $(node --version)"
npm ping >/dev/null 2>&1 || [ -d editors/vscode/node_modules ] || skip 'npm cannot reach its registry'
make --no-print-directory vsix-tools vsix
(cd editors/vscode && npm run --silent test)

if ! command -v chromium >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    { apt-get -qq update && apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends chromium </dev/null >/dev/null; } ||
      skip 'Chromium cannot be installed'
  else
    skip 'there is no chromium: apt-get install chromium'
  fi
fi
STAPKIT_VSCODE=$(internal/editors/vscode/setup.sh) || skip 'VS Code cannot be set up'
STAPKIT_VSIX=$(ls -t "$PWD"/build/stapkit-linux-x64-*.vsix | head -n 1)
export STAPKIT_VSCODE STAPKIT_VSIX
exec "${GO:-go}" test -count=1 -timeout 20m -v ./internal/editors -run VSCode
