// Command lines of the tools, without VS Code.

/** What a task does. */
export type Work = 'run' | 'build' | 'check' | 'lint';

/** The commands of the settings, each with its leading arguments. */
export interface Tools {
  stap: string[];
  stapc: string[];
  staplint: string[];
}

/** Gives the command line for a script, or for lint the folder. */
export function commandLine(work: Work, tools: Tools, script: string, args: string[] = [], guru = false): string[] {
  // Options come before the script, its own arguments behind it.
  const split = args.indexOf('--');
  const options = split < 0 ? args : args.slice(0, split);
  const own = split < 0 ? [] : args.slice(split + 1);
  const g = guru ? ['-g'] : [];
  switch (work) {
    case 'run':
      return [...tools.stap, '--message-format=text', ...g, ...options, script, ...own];
    case 'check':
      return [...tools.stap, '-p2', '--message-format=text', ...g, ...options, script, ...own];
    case 'build':
      return [...tools.stapc, ...g, ...(options.includes('-o') ? [] : ['-o', bundleName(script)]), ...options, script, ...own];
    case 'lint':
      return [...tools.staplint, ...options, script];
  }
}

/** The bundle that a script is built into. */
export function bundleName(script: string): string {
  return script.replace(/\.stp$/, '') + '.o';
}
