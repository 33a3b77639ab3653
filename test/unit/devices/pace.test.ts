import assert from 'node:assert/strict';
import { Pace } from '../../../src/devices/webgpu/pace.ts';

/** Submissions in a row on a device that does `rate` operations in a ms; gives how long a full one takes in the end. */
function settle(pace: Pace, rate: number, from = 0): { ms: number; now: number } {
  let now = from;
  for (let i = 0; i < 60; i++) {
    const submitted = now;
    now += pace.most / rate;
    pace.learn(pace.most, submitted, now);
  }
  return { ms: pace.most / rate, now };
}

describe('how much work a submission holds', () => {
  it('follows devices of every speed to where cancelling waits for less than 50 ms', () => {
    for (const rate of [1e6, 1e8, 1e10]) {
      const { ms } = settle(new Pace(), rate);
      assert.ok(ms <= 50, `${ms} ms at ${rate} operations in a ms`);
    }
  });

  it('fits a slow device after one submission that shows how slow it is', () => {
    const pace = new Pace();
    pace.learn(pace.most, 0, pace.most / 1e5);
    assert.ok(pace.most / 1e5 <= 50, `${pace.most / 1e5} ms`);
  });

  it('grows on a fast device until submissions are no longer a moment', () => {
    const { ms } = settle(new Pace(), 1e9);
    assert.ok(ms >= 10, `${ms} ms`);
  });

  it('gives way to a device that becomes slow, and takes it back', () => {
    const pace = new Pace();
    const before = settle(pace, 1e9);
    const slow = settle(pace, 1e5, before.now);
    assert.ok(slow.ms <= 50, `${slow.ms} ms`);
    const after = settle(pace, 1e9, slow.now);
    assert.ok(after.ms >= 10 && after.ms <= 50, `${after.ms} ms`);
  });

  it('learns nothing about full submissions from those that hold little', () => {
    const pace = new Pace();
    const before = pace.most;
    for (let i = 0; i < 20; i++) pace.learn(before / 100, i, i + 0.1);
    assert.equal(pace.most, before);
  });

  it('does not count the wait for the submission before', () => {
    const pace = new Pace();
    const before = pace.most;
    pace.learn(before / 100, 0, 40);
    // Submitted together with the one that took 40 ms: it took 20.
    pace.learn(before / 100, 0, 60);
    assert.equal(pace.most, before);
  });
});
