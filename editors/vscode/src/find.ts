// Finding programs, without VS Code.
import { constants, accessSync, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { homedir } from 'node:os';

/** Whether a file can be run. */
export function runnable(path: string): boolean {
  try {
    if (!statSync(path).isFile()) {
      return false;
    }
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // not there, or not ours to run
  }
}

/** Replaces a leading ~ by the home directory. */
export function expand(path: string): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;
}

/**
 * Finds a program as a shell does. Relative paths are refused: the folder that an
 * editor was started in says nothing.
 */
export function find(name: string, env: NodeJS.ProcessEnv = process.env, platform = process.platform): string | undefined {
  name = expand(name);
  const endings = platform === 'win32' && !/\.(exe|cmd|bat)$/i.test(name) ? ['.exe', '.cmd', '.bat'] : [''];
  if (isAbsolute(name)) {
    return endings.map((e) => name + e).find(runnable);
  }
  if (/[/\\]/.test(name)) {
    return undefined;
  }
  for (const dir of (env.PATH ?? env.Path ?? '').split(delimiter)) {
    if (!isAbsolute(dir)) {
      continue;
    }
    for (const e of endings) {
      const path = join(dir, name + e);
      if (runnable(path)) {
        return path;
      }
    }
  }
  return undefined;
}

/** Where the server was found, or why it was not. */
export type Found = { path: string; from: 'setting' | 'extension' | 'path' } | { missing: string };

/** Finds the language server: of the setting, that of the extension, that of $PATH. */
export function findServer(setting: string, extension: string, env: NodeJS.ProcessEnv = process.env, platform = process.platform): Found {
  if (setting) {
    const path = find(setting, env, platform);
    return path ? { path, from: 'setting' } : { missing: `The setting stapkit.server.path names "${setting}", which is no program that can be run${isAbsolute(expand(setting)) ? '' : ' (name an absolute path, or a program of $PATH)'}.` };
  }
  const own = find(join(extension, 'server', 'staplsp'), env, platform);
  if (own) {
    return { path: own, from: 'extension' };
  }
  const path = find('staplsp', env, platform);
  return path ? { path, from: 'path' } : { missing: 'The language server staplsp was not found: it is not in $PATH, and this build of the extension brings none. Install stapkit, or name the program in the setting stapkit.server.path.' };
}
