import { format } from 'node:util';
import Mocha from 'mocha';
import Reporter from './reporter.ts';

/** Marks the suite's own lines among all that a workbench logs. */
export const SUITE_LINE = '[suite] ';

/**
 * Runs mocha inside an extension host. `load` imports the test files: `describe` and `it` exist only from then on.
 * Rejects where a test failed, which is how VS Code learns of it.
 */
export async function runMocha(load: () => Promise<unknown>): Promise<void> {
  Mocha.reporters.Base.consoleLog = (...parts: unknown[]) => console.log(SUITE_LINE + format(...parts));
  const grep = process.env.RANKSCOPE_TEST_GREP;
  const mocha = new Mocha({
    ui: 'bdd',
    color: false,
    timeout: 60_000,
    reporter: Reporter,
    ...(grep === undefined ? {} : { grep }),
  });
  mocha.suite.emit('pre-require', globalThis, '', mocha);
  await load();
  await new Promise<void>((resolve, reject) => {
    mocha.run((failures) => (failures === 0 ? resolve() : reject(new Error(`${failures} tests failed`))));
  });
}
