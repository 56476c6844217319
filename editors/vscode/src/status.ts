// The item of the status bar: the target in use.
import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';

/** What the server says of itself. */
export interface Status {
  spec: string;
  ready: boolean;
  target: string;
  notes: string[];
}

/** Shows the target while a script is in sight. */
export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem('stapkit.target', vscode.StatusBarAlignment.Right, 90);
  private readonly subscriptions: vscode.Disposable[] = [];
  private again: NodeJS.Timeout | undefined;
  private asked = 0;

  constructor(private readonly client: () => LanguageClient | undefined) {
    this.item.name = 'SystemTap target';
    this.subscriptions.push(vscode.window.onDidChangeActiveTextEditor(() => this.update()));
  }

  /** Shows why there is no server. */
  failed(why: string): void {
    this.asked++;
    this.item.text = '$(error) no staplsp';
    this.item.tooltip = why;
    this.item.command = 'stapkit.restartServer';
    this.item.backgroundColor = new vscode.ThemeColor('statusBarItem.errorBackground');
    this.show();
  }

  /** Asks the server, again while it reads the target. */
  update(): void {
    clearTimeout(this.again);
    const client = this.client();
    if (!client?.isRunning()) {
      this.show();
      return;
    }
    const number = ++this.asked;
    client.sendRequest<Status>('workspace/executeCommand', { command: 'stapkit.status', arguments: [] }).then(
      (s) => {
        if (number === this.asked) {
          this.set(s);
        }
      },
      (err) => client.isRunning() && client.error('status: ' + String(err), undefined, false),
    );
  }

  /** Shows a status. */
  set(s: Status): void {
    this.item.backgroundColor = undefined;
    this.item.command = 'stapkit.selectTarget';
    this.item.text = !s.ready ? '$(sync~spin) ' + (s.spec || 'running kernel') : s.target ? '$(circuit-board) ' + (s.target.split('/').pop() || s.target) : '$(circle-slash) no target';
    const about = new vscode.MarkdownString(s.target ? 'Kernel functions and types are those of **' + escape(s.target) + '**.' : 'Kernel functions and types are taken on trust: no target is known.');
    for (const n of s.notes) {
      about.appendMarkdown('\n\n' + escape(n));
    }
    about.appendMarkdown('\n\nClick to choose another target.');
    this.item.tooltip = about;
    this.show();
    if (!s.ready) {
      this.again = setTimeout(() => this.update(), 500);
    }
  }

  private show(): void {
    if (vscode.window.activeTextEditor?.document.languageId === 'systemtap') {
      this.item.show();
    } else {
      this.item.hide();
    }
  }

  dispose(): void {
    clearTimeout(this.again);
    this.item.dispose();
    this.subscriptions.forEach((s) => s.dispose());
  }
}

function escape(s: string): string {
  return s.replace(/[\\`*_{}[\]()#+\-.!|<>]/g, '\\$&');
}
