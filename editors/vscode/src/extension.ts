// SystemTap in VS Code: starts staplsp and gives it what an editor has.
import * as vscode from 'vscode';
import { type ConfigurationParams, LanguageClient, type LanguageClientOptions, State } from 'vscode-languageclient/node';
import { registerCommands } from './commands';
import { CodeDocuments, codeScheme, scheme, ServerDocuments } from './documents';
import { expand, find, findServer } from './find';
import { StatusItem } from './status';
import { Tasks, tools } from './tasks';

let client: LanguageClient | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const log = vscode.window.createOutputChannel('SystemTap', { log: true });
  const status = new StatusItem(() => client);
  const code = new CodeDocuments((script) => {
    const uri = vscode.Uri.file(script);
    const [name, ...args] = tools(uri).stap;
    const file = vscode.workspace.isTrusted ? find(name) : undefined;
    const guru = vscode.workspace.getConfiguration('stapkit', uri).get<boolean>('guru', false) ? ['-g'] : [];
    return file ? { file, args: [...args, '-p3', ...guru, script] } : undefined;
  });
  context.subscriptions.push(
    log, status,
    vscode.workspace.registerTextDocumentContentProvider(scheme, new ServerDocuments(() => client)),
    vscode.workspace.registerTextDocumentContentProvider(codeScheme, code),
    vscode.tasks.registerTaskProvider('stapkit', new Tasks()),
    ...registerCommands(() => client, status, code),
    vscode.workspace.onDidSaveTextDocument((d) => d.languageId === 'systemtap' && code.refresh(d.uri)),
  );

  // Other files end in .stp as well.
  const foreign = (d: vscode.TextDocument): void => {
    if (d.languageId === 'systemtap' && /^(ISO-10303-21\s*;|\s*(create|alter)\s+(or\s+\w+\s+)?(procedure|proc)\b)/i.test(d.lineAt(0).text)) {
      void vscode.languages.setTextDocumentLanguage(d, /^ISO/.test(d.lineAt(0).text) ? 'plaintext' : 'sql');
    }
  };
  vscode.workspace.textDocuments.forEach(foreign);
  context.subscriptions.push(vscode.workspace.onDidOpenTextDocument(foreign));

  const startOnce = async (): Promise<void> => {
    const old = client;
    client = undefined;
    await old?.dispose();
    const settings = vscode.workspace.getConfiguration('stapkit');
    const found = findServer(settings.get('server.path', ''), context.extensionPath);
    if ('missing' in found) {
      log.error(found.missing);
      status.failed(found.missing);
      const open = 'Open Settings';
      void vscode.window.showErrorMessage(found.missing, open).then((choice) => choice === open && vscode.commands.executeCommand('workbench.action.openSettings', 'stapkit.server.path'));
      return;
    }
    log.info(`language server: ${found.path} (${found.from})`);
    client = makeClient(found.path, settings.get<string[]>('server.args', []), log);
    client.onDidChangeState((e) => e.newState === State.Running && status.update());
    try {
      await client.start();
    } catch (err) {
      const why = `The language server ${found.path} does not start: ${err instanceof Error ? err.message : String(err)}`;
      log.error(why);
      status.failed(why);
      void vscode.window.showErrorMessage(why);
    }
    status.update();
  };
  // One after the other: trust that is given changes settings as well. What waits starts
  // with the newest settings, so one that waits is enough.
  let last = Promise.resolve();
  let waiting = false;
  const start = (): Promise<void> => {
    if (!waiting) {
      waiting = true;
      last = last.then(() => {
        waiting = false;
        return startOnce();
      });
    }
    return last;
  };
  context.subscriptions.push(
    vscode.commands.registerCommand('stapkit.restartServer', start),
    vscode.workspace.onDidChangeConfiguration((e) => {
      if (e.affectsConfiguration('stapkit.server')) {
        void start();
      } else if (e.affectsConfiguration('stapkit') && client?.isRunning()) {
        // The server asks for what it wants to know.
        void client.sendNotification('workspace/didChangeConfiguration', { settings: null }).then(() => status.update());
      }
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => start()),
  );
  await start();
}

export async function deactivate(): Promise<void> {
  await client?.stop();
}

/** The settings that the server gets; of an untrusted workspace VS Code itself leaves out what is restricted. */
function serverSettings(scope?: vscode.Uri): Record<string, unknown> {
  const all = vscode.workspace.getConfiguration('stapkit', scope);
  const out: Record<string, unknown> = { trusted: vscode.workspace.isTrusted };
  for (const name of ['target', 'targets', 'includes', 'args', 'guru', 'privilege', 'compatible', 'sourceTree', 'lint', 'inlayHints', 'codeLens']) {
    out[name] = all.get(name);
  }
  for (const name of ['target', 'sourceTree']) {
    out[name] = expand(String(out[name] ?? ''));
  }
  return out;
}

function makeClient(command: string, args: string[], log: vscode.LogOutputChannel): LanguageClient {
  const options: LanguageClientOptions = {
    documentSelector: [
      { scheme: 'file', language: 'systemtap' },
      { scheme: 'untitled', language: 'systemtap' },
      { scheme, language: 'systemtap' },
    ],
    outputChannel: log,
    initializationOptions: { settings: serverSettings(), virtualDocuments: true, lensCommands: true },
    diagnosticPullOptions: { onChange: true, onSave: true },
    markdown: { supportHtml: false },
    middleware: {
      workspace: {
        configuration: (params: ConfigurationParams) =>
          params.items.map((i) => (i.section === 'stapkit' ? serverSettings(i.scopeUri ? vscode.Uri.parse(i.scopeUri) : undefined) : null)),
      },
    },
  };
  return new LanguageClient('stapkit', 'SystemTap', { command, args: ['--stdio', ...args] }, options);
}
