import assert from 'node:assert/strict';
import { seededRandom } from '../../../src/base/random.ts';
import type { Matrix } from '../../../src/devices/backend.ts';
import { createCpuBackend } from '../../../src/devices/cpu/backend.ts';
import { Scores } from '../../../src/network/score.ts';
import { onDevice } from '../../numeric/device.ts';
import { python } from '../formats/python.ts';

const VOCABULARY = 203;
const WINDOWS = [
  [3, 7, 1, 9, 202],
  [0, 5, 5],
];
const POSITIONS = WINDOWS.flatMap((window, index) => window.map((_, position) => [index, position] as const));

/** Logits of each network, position by position; the last variant is the dense network. */
function networks(spread = 4): Float32Array[][] {
  const { normal } = seededRandom(5);
  const row = (size: number) => Float32Array.from({ length: VOCABULARY }, () => size * normal());
  const dense = POSITIONS.map(() => row(spread));
  const near = dense.map((values) => values.map((value) => value + 0.2 * normal()));
  const far = POSITIONS.map(() => row(spread));
  return [dense, near, far, dense];
}

const backend = createCpuBackend(2);
const names = (all: readonly unknown[]) => all.slice(1).map((_, k) => `variant ${k + 1}`);

/** Some rows of some columns at a time, as a forward pass hands them over. */
async function scored(all: readonly (readonly Float32Array[])[], height: number, width = VOCABULARY) {
  const scores = new Scores({ backend, windows: WINDOWS, names: names(all), subject: 'model' });
  for (let column = 0; column < VOCABULARY; column += width)
    for (let row = 0; row < POSITIONS.length; row += height) {
      const parts = all.map((network) =>
        network.slice(row, row + height).map((values) => values.subarray(column, column + width)),
      );
      const logits: Matrix[] = [];
      for (const part of parts) {
        const values = Float32Array.from(part.flatMap((values) => [...values]));
        logits.push(await onDevice(backend, values, part.length, values.length / part.length));
      }
      await scores.take({ row, column, vocabulary: VOCABULARY, logits });
      for (const matrix of logits) backend.free(matrix);
    }
  return scores.result();
}

/** The definitions, in f64. */
function expected(all: readonly (readonly Float32Array[])[]) {
  const logs = all.map((network) =>
    network.map((row) => {
      const largest = Math.max(...row);
      const sum = Math.log(row.reduce((total, value) => total + Math.exp(value - largest), 0));
      return Array.from(row, (value) => value - largest - sum);
    }),
  );
  const places = POSITIONS.flatMap(([window, position], at) => {
    const next = WINDOWS[window]![position + 1];
    return next === undefined ? [] : [{ at, next }];
  });
  return logs.map((network) =>
    places.map(({ at, next }) => ({
      loss: -network[at]![next]!,
      divergence: logs[0]![at]!.reduce((sum, log, j) => sum + Math.exp(log) * (log - network[at]![j]!), 0),
      same: network[at]!.indexOf(Math.max(...network[at]!)) === logs[0]![at]!.indexOf(Math.max(...logs[0]![at]!)),
    })),
  );
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const close = (found: number, right: number) =>
  assert.ok(Math.abs(found - right) <= 1e-6 * Math.max(1, Math.abs(right)), `${found}, not ${right}`);

describe('scores of networks', () => {
  after(() => backend.close());

  for (const [height, width] of [
    [1, VOCABULARY],
    [2, 50],
    [5, 1],
    [8, 67],
  ] as const)
    it(`are those of the definitions in f64, from ${height} rows of ${width} columns at a time`, async () => {
      const all = networks();
      const { dense, variants } = await scored(all, height, width);
      const [base, ...others] = expected(all);
      close(dense.loss, mean(base!.map(({ loss }) => loss)));
      close(dense.perplexity, Math.exp(mean(base!.map(({ loss }) => loss))));
      for (const [k, other] of others.entries()) {
        const own = variants[k]!;
        const differences = other.map(({ loss }, at) => loss - base![at]!.loss);
        const deviation = Math.sqrt(
          mean(differences.map((value) => (value - mean(differences)) ** 2)) *
            (differences.length / (differences.length - 1)),
        );
        const sorted = other.map(({ divergence }) => divergence).sort((a, b) => a - b);
        close(own.loss, mean(other.map(({ loss }) => loss)));
        close(own.difference, mean(differences));
        close(own.differenceError, deviation / Math.sqrt(differences.length));
        close(own.divergence.mean, mean(sorted));
        close(own.divergence.median, (sorted[2]! + sorted[3]!) / 2);
        close(own.divergence.q90, sorted[4]! + 0.5 * (sorted[5]! - sorted[4]!));
        close(own.divergence.max, sorted.at(-1)!);
        assert.equal(own.sameTop, mean(other.map(({ same }) => Number(same))));
      }
      assert.deepEqual(variants[2], {
        ...dense,
        difference: 0,
        differenceError: 0,
        divergence: { mean: 0, median: 0, q90: 0, q99: 0, max: 0 },
        sameTop: 1,
      });
    });

  it('stay exact for logits of hundreds, and where one token takes all of the probability', async () => {
    const all = networks(300);
    const { dense, variants } = await scored(all, 2, 80);
    const [base, near] = expected(all);
    close(dense.loss, mean(base!.map(({ loss }) => loss)));
    close(variants[0]!.divergence.mean, mean(near!.map(({ divergence }) => divergence)));
  });

  it('refuse a logit that is not finite, with its network, position and window', async () => {
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const all = networks();
      all[2]![6]![180] = wrong;
      await assert.rejects(scored(all, 3, 64), { code: 'not-finite', message: /variant 2 .* position 2 of window 2/ });
    }
  });

  it('agree with torch', async function () {
    const all = networks();
    const lists = all.map((network) => network.map((row) => Array.from(row)));
    const truth = python(this, ['torch'], TORCH, JSON.stringify({ windows: WINDOWS, lists })) as {
      dense: { loss: number; error: number };
      variants: Record<string, number>[];
    };
    const { dense, variants } = await scored(all, 2);
    close(dense.loss, truth.dense.loss);
    close(dense.lossError, truth.dense.error);
    for (const [k, right] of truth.variants.entries()) {
      const { loss, difference, differenceError, divergence, sameTop } = variants[k]!;
      const { mean: average, ...quantiles } = divergence;
      for (const [name, value] of Object.entries({ loss, difference, differenceError, average, ...quantiles, sameTop }))
        close(value, right[name]!);
    }
  });
});

const TORCH = `
import json, sys
import torch
given = json.loads(sys.argv[1])
logits = [torch.tensor(rows, dtype=torch.float64) for rows in given["lists"]]
at, target, start = [], [], 0
for window in given["windows"]:
    at += range(start, start + len(window) - 1)
    target += window[1:]
    start += len(window)
logs = [torch.log_softmax(rows[at], -1) for rows in logits]
losses = [torch.nn.functional.nll_loss(log, torch.tensor(target), reduction="none") for log in logs]
error = lambda x: float(x.std() / len(x) ** 0.5)
variants = []
for log, loss in zip(logs[1:], losses[1:]):
    kl = torch.nn.functional.kl_div(log, logs[0], log_target=True, reduction="none").sum(-1)
    quantile = lambda q: float(torch.quantile(kl, q))
    variants.append(dict(loss=float(loss.mean()), difference=float((loss - losses[0]).mean()),
        differenceError=error(loss - losses[0]), average=float(kl.mean()), median=quantile(0.5), q90=quantile(0.9),
        q99=quantile(0.99), max=float(kl.max()),
        sameTop=float((log.argmax(-1) == logs[0].argmax(-1)).double().mean())))
print(json.dumps(dict(dense=dict(loss=float(losses[0].mean()), error=error(losses[0])), variants=variants)))
`;
