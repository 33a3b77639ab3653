import assert from 'node:assert/strict';
import type { StoredMatrix } from '../../../../src/model/storedMatrix.ts';
import { type Cut, FactorStore } from '../../../../src/service/evaluate/factorStore.ts';
import type { TruncatedSvd } from '../../../../src/spectrum/truncated.ts';

/** diag(5, 4, 3, 2, 1), of which the triplets are unit vectors. */
function triplets(rank: number) {
  const unit = new Float32Array(5 * rank);
  for (let k = 0; k < rank; k++) unit[k * rank + k] = 1;
  const values = Float64Array.of(5, 4, 3, 2, 1).subarray(0, rank);
  return { left: unit, values, right: unit, frobeniusNorm: Math.sqrt(55) };
}

const matrix = (name: string) => ({ name, shape: [5, 5], tensor: { dtype: 'F32' } }) as unknown as StoredMatrix;
const cut = (name: string, rank: number, factors: 2 | 3 = 2): Cut => ({ matrix: matrix(name), rank, factors });

async function productOf(store: FactorStore, wanted: Cut): Promise<number[]> {
  const { factors } = await store.take(wanted);
  const [a, b] = await Promise.all(
    factors.map(async ({ source }) => {
      const values = new Float32Array(source.rows * source.cols);
      await source.read(0, values);
      return values;
    }),
  );
  const { rank } = wanted;
  return Array.from({ length: 5 }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += b![i * rank + k]! * a![k * 5 + i]!;
    return Math.round(sum * 1e5) / 1e5;
  });
}

const storeOf = (decompose: (matrix: StoredMatrix, rank: number) => Promise<TruncatedSvd>, cuts: readonly Cut[]) =>
  new FactorStore({ decompose, share: () => assert.fail('nothing is shared') }, cuts);

describe('factors for several variants', () => {
  it('come from one decomposition of each matrix, at the largest rank that is needed', async () => {
    const made: [string, number][] = [];
    const cuts = [cut('q', 1), cut('q', 3), cut('q', 2, 3), cut('k', 2)];
    const store = storeOf(async ({ name }, rank) => {
      made.push([name, rank]);
      return triplets(rank);
    }, cuts);
    assert.deepEqual(await productOf(store, cuts[0]!), [5, 0, 0, 0, 0]);
    assert.deepEqual(await productOf(store, cuts[1]!), [5, 4, 3, 0, 0]);
    assert.deepEqual(await productOf(store, cuts[2]!), [5, 4, 0, 0, 0]);
    assert.deepEqual(made, [['q', 3]]);
    await store.take(cuts[3]!);
    assert.deepEqual(made, [
      ['q', 3],
      ['k', 2],
    ]);
  });

  it('are forgotten when the last variant has them', async () => {
    let made = 0;
    const cuts = ['a', 'b', 'c'].flatMap((name) => [cut(name, 1), cut(name, 2)]);
    const store = storeOf(async (_, rank) => {
      made++;
      return triplets(rank);
    }, cuts);
    for (const each of cuts) await store.take(each);
    assert.equal(made, 3);
    // One more request than announced makes the decomposition again: nothing was kept.
    await store.take(cuts[0]!);
    assert.equal(made, 4);
  });

  it('tell the share of the squares that a rank loses', async () => {
    const store = storeOf(async (_, rank) => triplets(rank), [cut('q', 1), cut('q', 3)]);
    await store.take(cut('q', 1));
    assert.ok(Math.abs(store.lostShare(cut('q', 1))! - 30 / 55) < 1e-12);
    assert.equal(store.lostShare(cut('q', 3)), undefined);
    await store.take(cut('q', 3));
    assert.ok(Math.abs(store.lostShare(cut('q', 3))! - 5 / 55) < 1e-12);
  });
});
