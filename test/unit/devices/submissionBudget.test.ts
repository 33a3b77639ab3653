import assert from 'node:assert/strict';
import { SubmissionBudget } from '../../../src/devices/webgpu/submissionBudget.ts';

/** Makes submissions on a device of `rate` operations per ms; returns how long a full one takes in the end. */
function settle(budget: SubmissionBudget, rate: number, from = 0): { ms: number; now: number } {
  let now = from;
  for (let i = 0; i < 60; i++) {
    const submitted = now;
    now += budget.most / rate;
    budget.learn(budget.most, submitted, now);
  }
  return { ms: budget.most / rate, now };
}

describe('the budget of a submission', () => {
  it('adapts to devices of any speed until a cancellation waits at most 50 ms', () => {
    for (const rate of [1e6, 1e8, 1e10]) {
      const { ms } = settle(new SubmissionBudget(), rate);
      assert.ok(ms <= 50, `${ms} ms at ${rate} operations per ms`);
    }
  });

  it('fits a slow device after a single slow submission', () => {
    const budget = new SubmissionBudget();
    budget.learn(budget.most, 0, budget.most / 1e5);
    assert.ok(budget.most / 1e5 <= 50, `${budget.most / 1e5} ms`);
  });

  it('grows on a fast device until submissions take 10 ms', () => {
    const { ms } = settle(new SubmissionBudget(), 1e9);
    assert.ok(ms >= 10, `${ms} ms`);
  });

  it('shrinks when the device slows down, and recovers', () => {
    const budget = new SubmissionBudget();
    const before = settle(budget, 1e9);
    const slow = settle(budget, 1e5, before.now);
    assert.ok(slow.ms <= 50, `${slow.ms} ms`);
    const after = settle(budget, 1e9, slow.now);
    assert.ok(after.ms >= 10 && after.ms <= 50, `${after.ms} ms`);
  });

  it('ignores submissions that are far from full', () => {
    const budget = new SubmissionBudget();
    const before = budget.most;
    for (let i = 0; i < 20; i++) budget.learn(before / 100, i, i + 0.1);
    assert.equal(budget.most, before);
  });

  it('does not count the time spent waiting for the previous submission', () => {
    const budget = new SubmissionBudget();
    const before = budget.most;
    budget.learn(before / 100, 0, 40);
    // Submitted together with the one that took 40 ms: it took 20.
    budget.learn(before / 100, 0, 60);
    assert.equal(budget.most, before);
  });
});
