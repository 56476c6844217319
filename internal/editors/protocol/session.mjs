// A session with staplsp by the protocol's own client library: life cycle, encodings,
// incremental changes of text beyond ASCII, cancellation, many random edits held
// against documents that are sent whole.
//
//   node session.mjs SERVER VMLINUX [EDITS]
import { spawn } from 'node:child_process';
import assert from 'node:assert/strict';
import rpc from 'vscode-jsonrpc/node.js';
import lsp from 'vscode-languageserver-protocol';

const [server, vmlinux, count = '5000'] = process.argv.slice(2);

class Client {
  constructor(capabilities = {}) {
    this.process = spawn(server, ['--stdio', '--target', vmlinux], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.exited = new Promise((resolve) => this.process.on('exit', resolve));
    this.connection = rpc.createMessageConnection(
      new rpc.StreamMessageReader(this.process.stdout),
      new rpc.StreamMessageWriter(this.process.stdin),
    );
    this.capabilities = capabilities;
    this.diagnostics = new Map(); // by uri: version -> list
    this.waiting = [];
    this.progress = [];
    this.connection.onNotification(lsp.PublishDiagnosticsNotification.type, (p) => {
      const byVersion = this.diagnostics.get(p.uri) ?? new Map();
      byVersion.set(p.version, p.diagnostics);
      this.diagnostics.set(p.uri, byVersion);
      this.waiting.forEach((w) => w());
    });
    this.connection.onRequest(lsp.RegistrationRequest.type, (p) => {
      this.registered = p.registrations;
    });
    this.connection.onRequest(lsp.WorkDoneProgressCreateRequest.type, () => {});
    this.connection.onRequest(lsp.ConfigurationRequest.type, (p) => p.items.map(() => this.settings ?? null));
    this.connection.onNotification(lsp.ShowMessageNotification.type, () => {});
    this.connection.onNotification('$/progress', (p) => this.progress.push(p));
    this.connection.onRequest('workspace/diagnostic/refresh', () => {});
    this.connection.listen();
  }

  async start(options = {}) {
    const result = await this.connection.sendRequest(lsp.InitializeRequest.type, {
      processId: process.pid,
      rootUri: null,
      workspaceFolders: null,
      capabilities: this.capabilities,
      initializationOptions: options,
    });
    await this.connection.sendNotification(lsp.InitializedNotification.type, {});
    return result;
  }

  open(uri, text, version = 1) {
    return this.connection.sendNotification(lsp.DidOpenTextDocumentNotification.type, {
      textDocument: { uri, languageId: 'systemtap', version, text },
    });
  }

  change(uri, version, contentChanges) {
    return this.connection.sendNotification(lsp.DidChangeTextDocumentNotification.type, {
      textDocument: { uri, version },
      contentChanges,
    });
  }

  close(uri) {
    return this.connection.sendNotification(lsp.DidCloseTextDocumentNotification.type, { textDocument: { uri } });
  }

  ask(type, params, token) {
    return token ? this.connection.sendRequest(type, params, token) : this.connection.sendRequest(type, params);
  }

  async diagnosed(uri, version) {
    for (;;) {
      const list = this.diagnostics.get(uri)?.get(version);
      if (list) return list;
      await new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no diagnostics of ${uri} version ${version}`)), 60000);
        this.waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  async stop() {
    await this.ask(lsp.ShutdownRequest.type);
    await assert.rejects(this.ask(lsp.HoverRequest.type, at('file:///x.stp', 0, 0)), /shutting down/);
    await this.connection.sendNotification(lsp.ExitNotification.type);
    assert.equal(await this.exited, 0, 'exit code');
    this.connection.dispose();
  }
}

const at = (uri, line, character) => ({ textDocument: { uri }, position: { line, character } });

async function lifecycle() {
  const c = new Client({ workspace: { configuration: true, didChangeWatchedFiles: { dynamicRegistration: true } }, window: { workDoneProgress: true } });
  await assert.rejects(c.ask(lsp.HoverRequest.type, at('file:///x.stp', 0, 0)), (e) => e.code === -32002, 'a request before initialize');
  const { capabilities, serverInfo } = await c.start();
  assert.equal(serverInfo.name, 'staplsp');
  assert.equal(capabilities.positionEncoding, 'utf-16');
  assert.equal(capabilities.textDocumentSync.change, lsp.TextDocumentSyncKind.Incremental);
  for (const feature of ['hoverProvider', 'definitionProvider', 'typeDefinitionProvider', 'referencesProvider', 'documentHighlightProvider', 'documentSymbolProvider',
    'workspaceSymbolProvider', 'codeActionProvider', 'codeLensProvider', 'documentFormattingProvider', 'documentRangeFormattingProvider', 'documentOnTypeFormattingProvider',
    'renameProvider', 'foldingRangeProvider', 'selectionRangeProvider', 'semanticTokensProvider', 'inlayHintProvider', 'diagnosticProvider', 'callHierarchyProvider',
    'documentLinkProvider', 'signatureHelpProvider', 'completionProvider', 'executeCommandProvider']) {
    assert.ok(capabilities[feature], feature);
  }
  await assert.rejects(c.start(), 'a second initialize');
  await assert.rejects(c.ask('textDocument/noSuchThing', {}), (e) => e.code === -32601);
  await assert.rejects(c.ask('textDocument/hover', { textDocument: 7 }), (e) => e.code === -32602, 'wrong parameters');
  await c.connection.sendNotification('$/noSuchNotification', {}); // is passed over
  assert.equal(await c.ask(lsp.HoverRequest.type, at('file:///nowhere.stp', 0, 0)), null);
  // Settings come from the client, and change.
  c.settings = { guru: true };
  const uri = 'file:///tmp/guru.stp';
  await c.open(uri, 'probe kernel.function("vfs_read") {\n\t$count = 1\n}\n');
  await c.connection.sendNotification(lsp.DidChangeConfigurationNotification.type, { settings: null });
  for (let i = 0; i < 6000 && (await c.diagnosed(uri, 1)).some((d) => d.severity === 1); i++) {
    await new Promise((r) => setTimeout(r, 10));
  }
  assert.ok(!(await c.diagnosed(uri, 1)).some((d) => d.severity === 1), 'guru mode');
  assert.ok(c.registered?.some((r) => r.method === 'workspace/didChangeWatchedFiles'));
  await c.stop();
}

async function abrupt() {
  const c = new Client();
  await c.start();
  await c.connection.sendNotification(lsp.ExitNotification.type);
  assert.equal(await c.exited, 1, 'exit without shutdown');
  c.connection.dispose();
}

// Every encoding finds the same place behind characters of all sizes.
async function encodings() {
  const prefix = 'probe kernel.function("vfs_read") {\n\tprintln("aé漢𝄞", ';
  const text = prefix + '$file->f_pos)\n}\n';
  const line = '\tprintln("aé漢𝄞", $file->';
  const widths = { 'utf-8': Buffer.from(line).length, 'utf-16': line.length, 'utf-32': [...line].length };
  for (const [encoding, character] of Object.entries(widths)) {
    const c = new Client({ general: { positionEncodings: [encoding] } });
    const { capabilities } = await c.start();
    assert.equal(capabilities.positionEncoding, encoding);
    const uri = 'file:///tmp/%C3%A9.stp';
    await c.open(uri, text);
    const hover = await c.ask(lsp.HoverRequest.type, at(uri, 1, character));
    assert.match(hover.contents.value, /loff_t f_pos/, encoding);
    assert.deepEqual(hover.range, { start: { line: 1, character }, end: { line: 1, character: character + 5 } });
    // An edit in the middle of it.
    await c.change(uri, 2, [{ range: { start: { line: 1, character }, end: { line: 1, character: character + 5 } }, text: 'f_flags' }]);
    const after = await c.ask(lsp.HoverRequest.type, at(uri, 1, character + 1));
    assert.match(after.contents.value, /f_flags/, encoding);
    await c.stop();
  }
}

// Requests see the document as it was when they were sent, and can be cancelled.
async function concurrency() {
  const c = new Client();
  await c.start();
  const uri = 'file:///tmp/many.stp';
  const lines = [];
  for (let i = 0; i < 400; i++) lines.push(`probe kernel.function("vfs_*") { x${i} = $$parms; println(x${i}, ${i}) }`);
  await c.open(uri, lines.join('\n') + '\n');
  const answers = [];
  for (let i = 0; i < 20; i++) {
    await c.change(uri, i + 2, [{ text: `global v${i}\nprobe begin { println(v${i}) }\n` }]);
    answers.push(c.ask(lsp.DocumentSymbolRequest.type, { textDocument: { uri } }));
  }
  (await Promise.all(answers)).forEach((symbols, i) => assert.equal(symbols[0].name, `v${i}`, 'an answer of another version'));

  await c.change(uri, 50, [{ text: lines.join('\n') + '\n' }]);
  let cancelled = 0;
  const pending = [];
  for (let i = 0; i < 30; i++) {
    const source = new lsp.CancellationTokenSource();
    pending.push(
      c.ask(lsp.HoverRequest.type, at(uri, 200 + i, 40), source.token).catch((e) => {
        assert.equal(e.code, lsp.LSPErrorCodes.RequestCancelled);
        cancelled++;
      }),
    );
    source.cancel();
  }
  await Promise.all(pending);
  assert.ok(cancelled > 0, 'nothing was cancelled');
  // The server goes on.
  assert.ok(await c.ask(lsp.HoverRequest.type, at(uri, 0, 12)));
  await c.stop();
}

// Pull diagnostics: full, unchanged, full again.
async function pull() {
  const c = new Client({ textDocument: { diagnostic: {} } });
  await c.start();
  const uri = 'file:///tmp/pull.stp';
  await c.open(uri, 'probe begin { println(nosuch()) }\n');
  const first = await c.ask(lsp.DocumentDiagnosticRequest.type, { textDocument: { uri } });
  assert.equal(first.kind, 'full');
  assert.equal(first.items.length, 1);
  assert.match(String(first.items[0].code), /^E1/);
  assert.ok(first.items[0].codeDescription.href);
  const second = await c.ask(lsp.DocumentDiagnosticRequest.type, { textDocument: { uri }, previousResultId: first.resultId });
  assert.equal(second.kind, 'unchanged');
  await c.change(uri, 2, [{ text: 'probe begin { println(1); exit() }\n' }]);
  const third = await c.ask(lsp.DocumentDiagnosticRequest.type, { textDocument: { uri }, previousResultId: first.resultId });
  assert.equal(third.kind, 'full');
  assert.deepEqual(third.items, []);
  assert.equal(c.diagnostics.size, 0, 'diagnostics are not pushed as well');
  await c.stop();
}

// Numbers that are the same in every run.
function random(seed) {
  return (n) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff;
    return Math.floor((seed / 0x80000000) * n);
  };
}

async function stress() {
  const c = new Client({ textDocument: { diagnostic: {} } }); // none are pushed
  await c.start();
  const uri = 'file:///tmp/stress.stp';
  const rnd = random(42);
  const bits = ['probe ', 'begin', ' { ', ' }\n', 'kernel.function("vfs_read")', '$file->', 'f_pos', 'global a, b\n', 'a[1] = ', '"é漢𝄞', '"', '/*', '*/', '# x\n', '\n', '%( ', ' %)', '%?',
    '@define m(x) %( @x %)\n', '@m(1)', 'foreach (k in a) ', 'printf("%d %s\\n", 1, execname())\n', '\r\n', '𝄞', '\t', '.', ',', '(', ')', '{', '}', 'function f(x) { return x }\n', '%{ int x; %}', '0x', "\\", ';'];
  let text = 'probe begin {\n\tprintln("start")\n}\n';
  await c.open(uri, text);
  let version = 1;
  const position = (off) => {
    const before = text.slice(0, off);
    const line = before.split('\n').length - 1;
    return { line, character: off - (before.lastIndexOf('\n') + 1) };
  };
  // An offset that is not within a surrogate pair.
  const place = () => {
    let off = rnd(text.length + 1);
    if (off > 0 && off < text.length && /[\udc00-\udfff]/.test(text[off])) off--;
    return off;
  };
  const edits = Number(count);
  let compared = 0;
  for (let i = 0; i < edits; i++) {
    const changes = [];
    for (let k = 0; k <= rnd(3); k++) {
      let start = place();
      let end = rnd(3) === 0 ? Math.min(text.length, start + rnd(30)) : start;
      if (end < text.length && end > 0 && /[\udc00-\udfff]/.test(text[end])) end++;
      let insert = text.length > 6000 ? '' : bits[rnd(bits.length)];
      if (text.length > 6000) end = Math.min(text.length, start + 200);
      if (end < text.length && /[\udc00-\udfff]/.test(text[end])) end++;
      changes.push({ range: { start: position(start), end: position(end) }, text: insert });
      text = text.slice(0, start) + insert + text.slice(end);
    }
    await c.change(uri, ++version, changes);
    if (i % 50 !== 49 && i !== edits - 1) {
      // Questions in between, whose answers do not matter, must be answered.
      if (i % 7 === 0) await c.ask(lsp.CompletionRequest.type, { ...at(uri, 0, 0), position: position(place()) });
      if (i % 11 === 0) await c.ask(lsp.HoverRequest.type, { ...at(uri, 0, 0), position: position(place()) });
      continue;
    }
    // The document, edited step by step, is the one that is sent whole.
    const fresh = `file:///tmp/fresh${i}.stp`;
    await c.open(fresh, text);
    const strip = (x) => JSON.stringify(x, (k, v) => (k === 'resultId' || k === 'uri' || k === 'href' ? undefined : v)).replaceAll(fresh.slice(7), uri.slice(7));
    for (const [method, extra] of [['textDocument/semanticTokens/full', {}], ['textDocument/documentSymbol', {}], ['textDocument/foldingRange', {}], ['textDocument/diagnostic', {}]]) {
      const [a, b] = await Promise.all([c.ask(method, { textDocument: { uri }, ...extra }), c.ask(method, { textDocument: { uri: fresh }, ...extra })]);
      assert.equal(strip(a), strip(b), `${method} after ${i + 1} edits:\n${text}`);
    }
    await c.close(fresh);
    compared++;
  }
  await c.stop();
  return compared;
}

const steps = { lifecycle, abrupt, encodings, concurrency, pull, stress };
let failed = false;
for (const [name, step] of Object.entries(steps)) {
  const start = Date.now();
  try {
    const result = await step();
    console.log(`ok   ${name}${result ? ` (${result} comparisons)` : ''} ${Date.now() - start} ms`);
  } catch (e) {
    failed = true;
    console.log(`FAIL ${name}: ${e.stack}`);
  }
}
process.exit(failed ? 1 : 0);
