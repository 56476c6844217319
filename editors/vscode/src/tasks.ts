// Tasks, for terminals and for "Tasks: Run Task".
import * as path from 'node:path';
import * as vscode from 'vscode';
import { commandLine, type Tools, type Work } from './commandline';
import { expand } from './find';

/** What a task of tasks.json says. */
interface Definition extends vscode.TaskDefinition {
  task: Work;
  script?: string;
  args?: string[];
}

/** The commands of the settings. */
export function tools(scope?: vscode.Uri): Tools {
  const c = vscode.workspace.getConfiguration('stapkit', scope);
  const list = (name: string): string[] => {
    const l = c.get<string[]>(name, []).map(expand);
    return l.length > 0 ? l : [name];
  };
  return { stap: list('stap'), stapc: list('stapc'), staplint: list('staplint') };
}

/** Makes a task of what tasks.json or a command says. */
export function task(def: Definition, script: vscode.Uri, scope: vscode.WorkspaceFolder | undefined): vscode.Task {
  const guru = vscode.workspace.getConfiguration('stapkit', script).get<boolean>('guru', false);
  const [file, ...args] = commandLine(def.task, tools(script), script.fsPath, def.args, guru && def.task !== 'lint');
  const quoted = args.map((value) => ({ value, quoting: vscode.ShellQuoting.Strong }));
  const cwd = scope?.uri.fsPath ?? path.dirname(script.fsPath);
  const t = new vscode.Task(def, scope ?? vscode.TaskScope.Workspace, `${def.task} ${path.basename(script.fsPath)}`, 'stapkit',
    new vscode.ShellExecution({ value: file, quoting: vscode.ShellQuoting.Strong }, quoted, { cwd }), ['$stapkit']);
  t.group = def.task === 'run' ? vscode.TaskGroup.Test : vscode.TaskGroup.Build;
  t.presentationOptions = { reveal: vscode.TaskRevealKind.Always, panel: vscode.TaskPanelKind.Dedicated, clear: true };
  t.detail = [path.basename(file), ...args].join(' ');
  return t;
}

/** The script that an editor shows, if it is one in a file. */
export function activeScript(): vscode.Uri | undefined {
  const d = vscode.window.activeTextEditor?.document;
  return d && d.languageId === 'systemtap' && d.uri.scheme === 'file' ? d.uri : undefined;
}

/** Offers tasks for the script in the editor, and completes those of tasks.json. */
export class Tasks implements vscode.TaskProvider {
  provideTasks(): vscode.Task[] {
    const out: vscode.Task[] = [];
    const script = activeScript();
    if (script) {
      for (const work of ['run', 'build', 'check'] as const) {
        out.push(task({ type: 'stapkit', task: work, script: vscode.workspace.asRelativePath(script, false) }, script, vscode.workspace.getWorkspaceFolder(script)));
      }
    }
    for (const folder of vscode.workspace.workspaceFolders ?? []) {
      if (folder.uri.scheme === 'file') {
        out.push(task({ type: 'stapkit', task: 'lint' }, folder.uri, folder));
      }
    }
    return out;
  }

  resolveTask(t: vscode.Task): vscode.Task | undefined {
    const def = t.definition as Definition;
    const folder = typeof t.scope === 'object' ? t.scope : vscode.workspace.workspaceFolders?.[0];
    let script: vscode.Uri | undefined;
    if (def.script) {
      script = path.isAbsolute(def.script) ? vscode.Uri.file(def.script) : folder && vscode.Uri.joinPath(folder.uri, def.script);
    } else {
      script = def.task === 'lint' ? folder?.uri : activeScript();
    }
    if (!script) {
      return undefined;
    }
    const out = task(def, script, folder);
    out.name = t.name;
    return out;
  }
}
