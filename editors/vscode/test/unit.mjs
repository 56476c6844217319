// Tests of what needs no VS Code: finding the server, command lines, problem matchers.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { find, findServer } from '../dist/test/find.mjs';
import { commandLine } from '../dist/test/commandline.mjs';

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url)));

function program(path, mode = 0o755) {
  writeFileSync(path, '#!/bin/sh\n');
  chmodSync(path, mode);
  return path;
}

test('programs are found as by a shell, in absolute folders only', () => {
  const dir = mkdtempSync(join(tmpdir(), 'find-'));
  const path = program(join(dir, 'staplsp'));
  program(join(dir, 'data'), 0o644);
  mkdirSync(join(dir, 'folder'));
  assert.equal(find('staplsp', { PATH: `/nowhere:${dir}` }), path);
  assert.equal(find(path, {}), path);
  assert.equal(find('data', { PATH: dir }), undefined);
  assert.equal(find('folder', { PATH: dir }), undefined);
  assert.equal(find('./staplsp', { PATH: dir }), undefined);
  assert.equal(find('staplsp', { PATH: '.' }), undefined);
  assert.equal(find('staplsp', {}), undefined);
  program(join(dir, 'x.exe'));
  assert.equal(find('x', { PATH: dir }, 'win32'), join(dir, 'x.exe'));
});

test('the server: setting, extension, PATH; what is wrong is told', () => {
  const dir = mkdtempSync(join(tmpdir(), 'server-'));
  const onPath = program(join(dir, 'staplsp'));
  assert.deepEqual(findServer('', dir, { PATH: dir }), { path: onPath, from: 'path' });
  mkdirSync(join(dir, 'server'));
  const own = program(join(dir, 'server', 'staplsp'));
  assert.deepEqual(findServer('', dir, { PATH: dir }), { path: own, from: 'extension' });
  assert.deepEqual(findServer(onPath, dir, {}), { path: onPath, from: 'setting' });
  assert.match(findServer('/nowhere/x', dir, {}).missing, /stapkit\.server\.path names "\/nowhere\/x"/);
  assert.match(findServer('bin/x', dir, {}).missing, /absolute path/);
  assert.match(findServer('', '/nowhere', {}).missing, /not in \$PATH.*stapkit\.server\.path/);
});

test('command lines', () => {
  const tools = { stap: ['sudo', 'stap'], stapc: ['stapc'], staplint: ['staplint'] };
  assert.deepEqual(commandLine('run', tools, '/a b.stp'), ['sudo', 'stap', '--message-format=text', '/a b.stp']);
  assert.deepEqual(commandLine('run', tools, '/a.stp', ['-v', '--', '1', '--'], true), ['sudo', 'stap', '--message-format=text', '-g', '-v', '/a.stp', '1', '--']);
  assert.deepEqual(commandLine('build', tools, '/a.stp'), ['stapc', '-o', '/a.o', '/a.stp']);
  assert.deepEqual(commandLine('build', tools, '/a.stp', ['-o', 'x.o']), ['stapc', '-o', 'x.o', '/a.stp']);
  assert.deepEqual(commandLine('check', tools, '/a.stp'), ['sudo', 'stap', '-p2', '--message-format=text', '/a.stp']);
  assert.deepEqual(commandLine('lint', tools, '/dir'), ['staplint', '/dir']);
});

test('problem matchers', () => {
  const [own, stap] = manifest.contributes.problemMatchers;
  const m = new RegExp(own.pattern.regexp).exec('dir/a.stp:2:10: error: unresolved target-symbol expression [E1301]');
  assert.deepEqual(m.slice(1), ['dir/a.stp', '2', '10', 'error', 'unresolved target-symbol expression', 'E1301']);
  assert.equal(new RegExp(own.pattern.regexp).exec('a.stp:1:1: warning: no code')[6], undefined);
  assert.equal(new RegExp(own.pattern.regexp).exec('   |  ^~~'), null);
  const [first, second] = stap.pattern.map((p) => new RegExp(p.regexp));
  assert.deepEqual(first.exec('semantic error: unresolved function f [E1203]').slice(1), ['error', 'unresolved function f [E1203]']);
  assert.deepEqual(first.exec("parse error: expected literal string or number [E0003]").slice(1), ['error', 'expected literal string or number [E0003]']);
  assert.deepEqual(second.exec("        saw: operator '}' at dir/a.stp:1:28").slice(1), ['dir/a.stp', '1', '28']);
});

test('what the manifest promises is there', () => {
  const have = new Set(manifest.contributes.commands.map((c) => c.command));
  for (const menu of Object.values(manifest.contributes.menus)) {
    for (const item of menu) {
      assert.ok(have.has(item.command), item.command);
    }
  }
  const source = readFileSync(new URL('../src/commands.ts', import.meta.url), 'utf8') + readFileSync(new URL('../src/extension.ts', import.meta.url), 'utf8');
  for (const c of have) {
    assert.ok(source.includes(`'${c}'`), `${c} is registered nowhere`);
  }
  // Each setting of the server is restricted in untrusted workspaces if it names something to read or run.
  for (const name of ['server.path', 'stap', 'stapc', 'staplint', 'target', 'targets', 'includes', 'args', 'guru', 'sourceTree']) {
    assert.ok(manifest.capabilities.untrustedWorkspaces.restrictedConfigurations.includes('stapkit.' + name), name);
  }
});
