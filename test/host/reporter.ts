import { writeFileSync } from 'node:fs';
import Mocha from 'mocha';

/**
 * Mocha's spec reporter, which also writes what ran to the file that RANKSCOPE_TEST_RESULTS names: counting lines of a
 * log would take a crashed run for a short one.
 */
export default class Reporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options?: Mocha.MochaOptions) {
    super(runner, options);
    const tests: { outcome: string; title: string; file: string | undefined; ms: number | undefined }[] = [];
    const note = (outcome: string) => (test: Mocha.Test) =>
      void tests.push({ outcome, title: test.fullTitle(), file: test.file, ms: test.duration });
    runner.on('pass', note('passed')).on('fail', note('failed')).on('pending', note('skipped'));
    runner.once('end', () => {
      const file = process.env.RANKSCOPE_TEST_RESULTS;
      if (file !== undefined) writeFileSync(file, JSON.stringify(tests, null, 1));
    });
  }
}
