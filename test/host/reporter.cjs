// Mocha's spec reporter, which also writes what ran to the file that RANKSCOPE_TEST_RESULTS names: counting lines of a log would
// take a crashed run for a short one.
const { writeFileSync } = require('node:fs');
const Mocha = require('mocha');

module.exports = class extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const tests = [];
    const note = (outcome) => (test, error) =>
      tests.push({
        outcome,
        title: test.fullTitle(),
        file: test.file,
        ms: test.duration,
        error: error && String(error),
      });
    runner.on('pass', note('passed')).on('fail', note('failed')).on('pending', note('skipped'));
    runner.once('end', () => {
      const file = process.env.RANKSCOPE_TEST_RESULTS;
      if (file) writeFileSync(file, JSON.stringify(tests, null, 1));
    });
  }
};
