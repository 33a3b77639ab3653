import assert from 'node:assert/strict';
import { SubmissionBudget } from '../../../src/devices/webgpu/submissionBudget.ts';

/** Submissions in a row on a device that does `rate` operations in a ms; gives how long a full one takes in the end. */
function settle(budget: SubmissionBudget, rate: number, from = 0): { ms: number; now: number } {
  let now = from;
  for (let i = 0; i < 60; i++) {
    const submitted = now;
    now += budget.most / rate;
    budget.learn(budget.most, submitted, now);
  }
  return { ms: budget.most / rate, now };
}

describe('how much work a submission holds', () => {
  it('follows devices of every speed to where cancelling waits for less than 50 ms', () => {
    for (const rate of [1e6, 1e8, 1e10]) {
      const { ms } = settle(new SubmissionBudget(), rate);
      assert.ok(ms <= 50, `${ms} ms at ${rate} operations in a ms`);
    }
  });

  it('fits a slow device after one submission that shows how slow it is', () => {
    const budget = new SubmissionBudget();
    budget.learn(budget.most, 0, budget.most / 1e5);
    assert.ok(budget.most / 1e5 <= 50, `${budget.most / 1e5} ms`);
  });

  it('grows on a fast device until submissions are no longer a moment', () => {
    const { ms } = settle(new SubmissionBudget(), 1e9);
    assert.ok(ms >= 10, `${ms} ms`);
  });

  it('gives way to a device that becomes slow, and takes it back', () => {
    const budget = new SubmissionBudget();
    const before = settle(budget, 1e9);
    const slow = settle(budget, 1e5, before.now);
    assert.ok(slow.ms <= 50, `${slow.ms} ms`);
    const after = settle(budget, 1e9, slow.now);
    assert.ok(after.ms >= 10 && after.ms <= 50, `${after.ms} ms`);
  });

  it('learns nothing about full submissions from those that hold little', () => {
    const budget = new SubmissionBudget();
    const before = budget.most;
    for (let i = 0; i < 20; i++) budget.learn(before / 100, i, i + 0.1);
    assert.equal(budget.most, before);
  });

  it('does not count the wait for the submission before', () => {
    const budget = new SubmissionBudget();
    const before = budget.most;
    budget.learn(before / 100, 0, 40);
    // Submitted together with the one that took 40 ms: it took 20.
    budget.learn(before / 100, 0, 60);
    assert.equal(budget.most, before);
  });
});
