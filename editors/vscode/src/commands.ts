// Commands.
import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';
import type { Work } from './commandline';
import { CodeDocuments } from './documents';
import type { Status, StatusItem } from './status';
import { activeScript, task } from './tasks';

/** What the server offers as targets. */
interface Targets {
  current: string;
  targets: string[];
}

/** Registers commands, those that code lenses run included. */
export function registerCommands(client: () => LanguageClient | undefined, status: StatusItem, code: CodeDocuments): vscode.Disposable[] {
  const running = (): LanguageClient | undefined => {
    const c = client();
    if (!c?.isRunning()) {
      void vscode.window.showWarningMessage('The language server of SystemTap does not run.', 'Restart').then((choice) => choice && vscode.commands.executeCommand('stapkit.restartServer'));
      return undefined;
    }
    return c;
  };
  const execute = <T>(c: LanguageClient, command: string, ...args: unknown[]): Promise<T> => c.sendRequest<T>('workspace/executeCommand', { command, arguments: args });

  // script saves and gives the script that a command is about.
  const script = async (of?: string | vscode.Uri): Promise<vscode.Uri | undefined> => {
    const uri = typeof of === 'string' ? vscode.Uri.parse(of) : (of ?? activeScript());
    if (!uri || uri.scheme !== 'file') {
      void vscode.window.showWarningMessage('Save the script in a file first.');
      return undefined;
    }
    const open = vscode.workspace.textDocuments.find((d) => d.uri.toString() === uri.toString());
    if (open?.isDirty && !(await open.save())) {
      return undefined;
    }
    return uri;
  };
  const work = async (kind: Work, of?: string | vscode.Uri): Promise<void> => {
    if (!vscode.workspace.isTrusted) {
      void vscode.window.showWarningMessage('Scripts of a workspace that is not trusted are neither run nor built.');
      return;
    }
    const uri = await script(of);
    if (uri) {
      await vscode.tasks.executeTask(task({ type: 'stapkit', task: kind }, uri, vscode.workspace.getWorkspaceFolder(uri)));
    }
  };
  const matches = async (document: string, points: string): Promise<void> => {
    const c = running();
    if (!c) {
      return;
    }
    const list = await execute<string[] | null>(c, 'stapkit.matches', document, points);
    const picked = await vscode.window.showQuickPick(list ?? [], {
      title: `What probe ${points} matches`, placeHolder: list?.length ? `${list.length} probe points; one that is chosen goes to the clipboard` : 'nothing', matchOnDescription: true,
    });
    if (picked) {
      await vscode.env.clipboard.writeText(picked);
    }
  };

  const add = vscode.commands.registerCommand;
  return [
    add('stapkit.runScript', (uri?: vscode.Uri) => work('run', uri)),
    add('stapkit.buildBundle', (uri?: vscode.Uri) => work('build', uri)),
    // The commands of code lenses, by the names that the server gives them.
    add('stapkit.run', (document: string) => work('run', document)),
    add('stapkit.build', (document: string) => work('build', document)),
    add('stapkit.showMatches', matches),
    add('stapkit.listMatches', async () => {
      const editor = vscode.window.activeTextEditor;
      if (!editor) {
        return;
      }
      const c = running();
      if (!c) {
        return;
      }
      const document = editor.document.uri.toString();
      const points = await execute<string>(c, 'stapkit.probeAt', document, editor.selection.active.line);
      if (points) {
        await matches(document, points);
      } else {
        void vscode.window.showInformationMessage('There is no probe here.');
      }
    }),
    add('stapkit.showCode', async (of?: vscode.Uri) => {
      const uri = await script(of);
      if (uri) {
        code.refresh(uri);
        const d = await vscode.workspace.openTextDocument(CodeDocuments.uri(uri));
        await vscode.window.showTextDocument(d, { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true, preview: true });
      }
    }),
    add('stapkit.format', () => vscode.commands.executeCommand('editor.action.formatDocument')),
    add('stapkit.lintFix', () => vscode.commands.executeCommand('editor.action.codeAction', { kind: 'source.fixAll.stapkit', apply: 'first' })),
    add('stapkit.lintFolder', async () => {
      for (const folder of vscode.workspace.workspaceFolders ?? []) {
        await vscode.tasks.executeTask(task({ type: 'stapkit', task: 'lint' }, folder.uri, folder));
      }
    }),
    add('stapkit.showLog', () => client()?.outputChannel.show()),
    add('stapkit.selectTarget', async () => {
      const c = running();
      if (!c) {
        return;
      }
      const known = await execute<Targets>(c, 'stapkit.targets');
      const file = 'a file…';
      const items: vscode.QuickPickItem[] = known.targets.map((t) => ({ label: t, description: t === (known.current || 'running') ? 'in use' : about[t] }));
      items.push({ label: '', kind: vscode.QuickPickItemKind.Separator }, { label: file, description: 'a BTF file, a vmlinux or a host description of staprun --describe' });
      if (known.current) {
        items.push({ label: 'as the settings say' });
      }
      const picked = await vscode.window.showQuickPick(items, { title: "Whose kernel's functions and types are shown" });
      if (!picked) {
        return;
      }
      let spec = picked.label;
      if (spec === file) {
        const chosen = await vscode.window.showOpenDialog({ canSelectFolders: true, title: 'A BTF file, a vmlinux, a host description, or a directory of them' });
        if (!chosen?.length) {
          return;
        }
        spec = chosen[0].fsPath;
      } else if (spec === 'as the settings say') {
        spec = '';
      }
      try {
        status.set(await execute<Status>(c, 'stapkit.chooseTarget', spec));
      } catch (err) {
        void vscode.window.showErrorMessage(err instanceof Error ? err.message : String(err));
      }
    }),
  ];
}

const about: Record<string, string> = { running: 'the kernel of this machine', none: 'kernel functions and types are taken on trust' };
