// Documents that are in no file: the embedded library, pages of diagnostic codes, C
// types, generated code.
import { execFile } from 'node:child_process';
import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';

/** The scheme of documents that the server gives. */
export const scheme = 'stapkit';
/** The scheme of generated code; the path is that of the script. */
export const codeScheme = 'stapkit-code';

/** Asks the server for its documents. */
export class ServerDocuments implements vscode.TextDocumentContentProvider {
  constructor(private readonly client: () => LanguageClient | undefined) {}

  async provideTextDocumentContent(uri: vscode.Uri, token: vscode.CancellationToken): Promise<string> {
    const client = this.client();
    if (!client) {
      return 'The language server does not run.';
    }
    return client.sendRequest<string>('workspace/executeCommand', { command: 'stapkit.content', arguments: [uri.toString(true)] }, token);
  }
}

/** Shows what a script is compiled to. */
export class CodeDocuments implements vscode.TextDocumentContentProvider {
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;

  constructor(private readonly command: (script: string) => { file: string; args: string[] } | undefined) {}

  static uri(script: vscode.Uri): vscode.Uri {
    return vscode.Uri.from({ scheme: codeScheme, path: script.path + '.ir' });
  }

  /** Has the code of a script made anew where it is shown. */
  refresh(script: vscode.Uri): void {
    this.changed.fire(CodeDocuments.uri(script));
  }

  provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const script = vscode.Uri.file(uri.path.replace(/\.ir$/, '')).fsPath;
    const command = this.command(script);
    if (!command) {
      return Promise.resolve('stap was not found, or the workspace is not trusted: name it in the setting stapkit.stap.');
    }
    return new Promise((resolve) => {
      execFile(command.file, command.args, { timeout: 60_000, maxBuffer: 16 << 20 }, (err, stdout, stderr) => {
        resolve(err && !stdout ? stderr || String(err) : stdout);
      });
    });
  }
}
