import * as vscode from 'vscode';

/** The part of the Python extension's API that is used here. */
interface PythonApi {
  readonly environments: {
    getActiveEnvironmentPath(): { readonly path: string };
    resolveEnvironment(environment: {
      readonly path: string;
    }): Promise<{ readonly executable: { readonly uri?: vscode.Uri | undefined } } | undefined>;
  };
}

/** Time for the Python extension to answer: it may be looking for environments, and products must not wait for that. */
const PATIENCE_MS = 1500;

/**
 * The interpreter that the user has chosen in the Python extension; a path that may lie in an open folder. That
 * extension has reasons of its own to start, and takes seconds: `start` is for work that the user asked for.
 */
export async function chosenInterpreter({ start = false } = {}): Promise<string | undefined> {
  try {
    const extension = vscode.extensions.getExtension<PythonApi>('ms-python.python');
    if (start && extension?.isActive === false) await extension.activate();
    const environments = extension?.isActive ? extension.exports?.environments : undefined;
    if (environments === undefined) return undefined;
    const late = new Promise<undefined>((resolve) => setTimeout(resolve, PATIENCE_MS, undefined));
    const resolved = await Promise.race([
      environments.resolveEnvironment(environments.getActiveEnvironmentPath()),
      late,
    ]);
    return resolved?.executable.uri?.fsPath;
  } catch {
    // Another version of that extension may answer otherwise.
    return undefined;
  }
}
