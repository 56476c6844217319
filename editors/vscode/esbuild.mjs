// Puts the extension and what it needs into one file; VS Code itself gives 'vscode'.
import { build } from 'esbuild';

await build({
  entryPoints: ['src/extension.ts'],
  outfile: 'dist/extension.js',
  bundle: true,
  external: ['vscode'],
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  minify: true,
  legalComments: 'linked',
  logLevel: 'warning',
});
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
