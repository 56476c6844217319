// Puts the extension and what it needs into one file; VS Code itself gives 'vscode'.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const { metafile } = await build({
  entryPoints: ['src/extension.ts'],
  outfile: 'dist/extension.js',
  bundle: true,
  external: ['vscode'],
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  minify: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
});
// Their licences want to be with them.
const packages = new Set(Object.keys(metafile.inputs).map((f) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(f)?.[1]).filter(Boolean));
let notices = 'dist/extension.js contains the following packages.\n';
for (const dir of [...packages].sort()) {
  const { name, version } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'));
  const file = readdirSync(dir).find((f) => /^licen[cs]e/i.test(f));
  if (!file) {
    throw new Error(`${name} has no licence`);
  }
  notices += `\n==== ${name} ${version}\n\n${readFileSync(join(dir, file), 'utf8').trim()}\n`;
}
writeFileSync('dist/NOTICES.txt', notices);
// For tests: what does not need VS Code.
await build({
  entryPoints: ['src/find.ts', 'src/commandline.ts'],
  outdir: 'dist/test',
  bundle: true,
  platform: 'node',
  format: 'esm',
  outExtension: { '.js': '.mjs' },
  target: 'node20',
  logLevel: 'warning',
});
