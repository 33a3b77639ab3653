import { basename, dirname } from 'node:path';
import * as vscode from 'vscode';
import { RankscopeError } from '../../base/errors.ts';
import { programs } from '../../window/programs.ts';
import { openFolders } from '../engine/engine.ts';
import { chosenInterpreter } from '../engine/interpreter.ts';

/**
 * Runs a Python script in a terminal, with the interpreter that the user has chosen in the Python extension, or else
 * one on the PATH. It is started as a process, not typed into a shell, whose rules for quoting are not known.
 */
export async function runInTerminal(script: string, words: readonly string[]): Promise<void> {
  const interpreter = (await chosenInterpreter({ start: true })) ?? (await interpreterOnPath());
  if (interpreter === undefined) {
    throw new RankscopeError(
      'not-found',
      basename(script),
      'there is no Python to run it with',
      'Choose an interpreter with "Python: Select Interpreter", or run the script yourself',
    );
  }
  const task = new vscode.Task(
    { type: 'rankscope' },
    vscode.TaskScope.Workspace,
    basename(script),
    'Rankscope',
    new vscode.ProcessExecution(interpreter, [script, ...words], { cwd: dirname(script) }),
    [],
  );
  task.presentationOptions = { reveal: vscode.TaskRevealKind.Always, panel: vscode.TaskPanelKind.Dedicated };
  await vscode.tasks.executeTask(task);
}

async function interpreterOnPath(): Promise<string | undefined> {
  const names = process.platform === 'win32' ? ['python.exe', 'python3.exe'] : ['python3', 'python'];
  for await (const file of programs(names, process.env.PATH, openFolders())) return file;
  return undefined;
}
