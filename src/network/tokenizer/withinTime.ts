import { createContext, Script } from 'node:vm';
import { RankscopeError } from '../../base/errors.ts';

const STUCK_MS = 5000;

/** Patterns come from files: one that backtracks without end is stopped by the time limit of a script that calls it. */
export function withinTime(file: string, run: () => void): void {
  try {
    SANDBOX.run = run;
    CALL.runInContext(SANDBOX, { timeout: STUCK_MS });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new RankscopeError(
      'malformed',
      file,
      `one of its patterns did not come to an end in ${STUCK_MS / 1000} s`,
      'Encode the text with another tool, and name the file of ids with --ids',
      { cause: error },
    );
  }
}

const SANDBOX: { run?: () => void } = createContext({});
const CALL = new Script('run()');
