// Makes .vsix files with the language server inside: for this platform, for those
// named, or for all.
//
//   node pack.mjs [--out DIR] [all | linux-x64 …]
//
// It needs Go and what "npm ci" has installed, and no network.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createVSIX } from '@vscode/vsce';

// Go's names of the platforms that VS Code has.
const platforms = {
  'linux-x64': ['linux', 'amd64'],
  'linux-arm64': ['linux', 'arm64'],
  'darwin-x64': ['darwin', 'amd64'],
  'darwin-arm64': ['darwin', 'arm64'],
  'win32-x64': ['windows', 'amd64'],
  'win32-arm64': ['windows', 'arm64'],
};

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '../..');
let out = join(root, 'build');
let targets = [];
const args = process.argv.slice(2);
while (args.length > 0) {
  const a = args.shift();
  if (a === '--out') {
    out = resolve(args.shift());
  } else if (a === 'all') {
    targets = Object.keys(platforms);
  } else {
    targets.push(a);
  }
}
if (targets.length === 0) {
  targets = [`${process.platform}-${process.arch}`];
}
for (const t of targets) {
  if (!platforms[t]) {
    console.error(`pack: there is no platform ${t}; there are ${Object.keys(platforms).join(', ')}`);
    process.exit(2);
  }
}

process.chdir(here);
execFileSync(process.execPath, ['esbuild.mjs'], { stdio: 'inherit' });
mkdirSync(out, { recursive: true });
const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
for (const target of targets) {
  const [GOOS, GOARCH] = platforms[target];
  rmSync('server', { recursive: true, force: true });
  execFileSync('go', ['build', '-trimpath', '-ldflags=-s -w', '-o', join(here, 'server', GOOS === 'windows' ? 'staplsp.exe' : 'staplsp'), './cmd/staplsp'],
    { cwd: root, stdio: 'inherit', env: { ...process.env, GOOS, GOARCH, CGO_ENABLED: '0' } });
  const packagePath = join(out, `stapkit-${target}-${version}.vsix`);
  await createVSIX({ cwd: here, target, packagePath, dependencies: false, allowMissingRepository: true, rewriteRelativeLinks: false });
  console.log(packagePath);
}
rmSync('server', { recursive: true, force: true });
