import assert from 'node:assert/strict';
import { REFINEMENT } from '../../../../src/model/compression.ts';
import { estimateWork, type WorkSize } from '../../../../src/service/compress/estimate.ts';
import { repeatedRuns, sharedRuns } from '../../../../src/service/compress/repeatedRuns.ts';
import { splitWindows } from '../../../../src/service/compress/splitWindows.ts';

/** SmolLM2-135M with 32 windows of 512. */
const SIZE: WorkSize = {
  ...{ layers: 30, blockParameters: 106e6, headParameters: 28e6, width: 576, keep: 0.8 },
  matrices: Array.from({ length: 30 }, () => [
    ...[[576, 576] as const, [192, 576] as const, [192, 576] as const, [576, 576] as const],
    ...[[1536, 576] as const, [1536, 576] as const, [576, 1536] as const],
  ]).flat(),
  ...{ calibrationTokens: 16_384, heldOutTokens: 2048, measuredTokens: 16_384, tokensOfStep: 2048, sampledTokens: 0 },
};
const RATE = 100e9;

describe('the estimate of a compression', () => {
  const whole = estimateWork(SIZE, RATE, {});

  it('takes everything where the time is not limited, and grows with steps and with a slower device', () => {
    assert.deepEqual(whole.schedule, { steps: REFINEMENT.steps, measureSeconds: null });
    assert.deepEqual(whole.notes, []);
    assert.ok(estimateWork(SIZE, RATE, { steps: 192 }).secondsTotal > whole.secondsTotal);
    assert.ok(estimateWork(SIZE, RATE / 2, {}).secondsTotal > 1.99 * whole.secondsTotal - 10);
    const sum = Object.values(whole.seconds).reduce((total, own) => total + own, 0);
    assert.ok(Math.abs(sum / whole.secondsTotal - 1) < 1e-9);
  });

  it('fits into a limit with fewer steps and measured losses, then without refinement, and says so', () => {
    let before = Number.POSITIVE_INFINITY;
    for (const share of [1.2, 0.8, 0.6, 0.4, 0.25]) {
      const minutes = (share * whole.secondsTotal) / 60;
      const { secondsTotal, schedule, notes } = estimateWork(SIZE, RATE, { minutes });
      const unavoidable = notes.some((note) => note.startsWith('Even without'));
      assert.ok(secondsTotal <= 60 * minutes * 1.001 || unavoidable, `${share}: ${secondsTotal}`);
      assert.ok(schedule.steps <= before && (schedule.steps === 0 || schedule.steps >= 24));
      assert.equal(notes.length > 0, share < 1);
      before = schedule.steps;
    }
    assert.equal(before, 0);
    const none = estimateWork(SIZE, RATE, { minutes: 0.01 });
    assert.deepEqual(none.schedule, { steps: 0, measureSeconds: 0 });
    assert.match(none.notes.join(), /Even without measured losses and refinement it takes about/);
  });

  it('has no refinement where none is wanted, and says nothing of it', () => {
    const { schedule, notes } = estimateWork(SIZE, RATE, { refine: false });
    assert.deepEqual([schedule.steps, notes], [0, []]);
  });
});

describe('the windows of a compression', () => {
  const windows = (count: number) => Array.from({ length: count }, (_, k) => Int32Array.of(k, k + 1));
  const split = (count: number, calibration: number, unseen = true) => {
    const parts = splitWindows(windows(count), { subject: 'a.txt', calibration, unseen });
    return [parts.calibration, parts.heldOut, parts.unseen].map((own) => own.map((window) => window[0]!));
  };

  it('have one purpose each, whatever their number', () => {
    for (let count = 3; count < 80; count++)
      for (const calibration of [1, 4, 32]) {
        const parts = split(count, calibration);
        assert.ok(
          parts.every(({ length }) => length > 0),
          `${count}, ${calibration}`,
        );
        const all = parts.flat();
        assert.equal(new Set(all).size, all.length);
        assert.ok(parts[0]!.length <= calibration);
      }
    assert.deepEqual(
      split(100, 32).map(({ length }) => length),
      [32, 4, 16],
    );
    assert.deepEqual(
      split(100, 32, false).map(({ length }) => length),
      [32, 4, 0],
    );
    assert.equal(split(100, 32)[2]!.at(-1), 99);
  });

  it('are refused where there are fewer than purposes', () => {
    assert.throws(() => split(2, 4), { code: 'wrong-use', message: /a\.txt: it has 2 windows, and at least 3/ });
    assert.throws(() => split(1, 4, false), { code: 'wrong-use', message: /1 window, and at least 2/ });
  });

  it('that repeat others or themselves are told by their runs of tokens', () => {
    const text = (from: number) => Int32Array.from({ length: 64 }, (_, k) => from + k);
    assert.equal(repeatedRuns([text(0), text(100)]), 0);
    assert.equal(repeatedRuns([text(0), text(0)]), 0.5);
    assert.equal(sharedRuns([text(0)], [text(0), text(100)]), 1);
    assert.equal(sharedRuns([text(0)], [text(100)]), 0);
    assert.equal(sharedRuns([], [text(0)]), 0);
  });
});
