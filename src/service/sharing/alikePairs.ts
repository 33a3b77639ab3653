import { groupBy } from '../../base/groupBy.ts';
import type { AlikePair } from '../../model/sharing/sharing.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { compareEntries } from '../../spectrum/compareEntries.ts';
import { type CountSketch, CountSketches, estimatedCosine } from '../../spectrum/countSketch.ts';

/** How far an estimated cosine may be below the true one. */
const DOUBT = 0.3;
/** Of more matrices of one shape, only those of one module or one layer are compared with each other. */
const MANY = 1024;

interface AlikeOptions {
  /** Largest residual of a pair. */
  readonly near: number;
  readonly signal: AbortSignal | undefined;
  readonly progress: (done: number, total: number, name: string) => void;
}

/**
 * Pairs of matrices that are equal but for a factor and a small difference. All are sketched in one pass; pairs whose
 * sketches are alike are then compared entry by entry, each matrix with the first one that it is like. An embedding
 * and a head are always compared, in the rows that both have.
 */
export async function alikePairs(
  matrices: readonly StoredMatrix[],
  { near, signal, progress }: AlikeOptions,
): Promise<AlikePair[]> {
  const found: AlikePair[] = [];
  const compared = new Set<string>();
  const compare = async (first: StoredMatrix, second: StoredMatrix) => {
    compared.add(`${first.name} ${second.name}`);
    return pairOf(first, second, signal);
  };
  for (const [embedding, head] of heads(matrices)) found.push(await compare(embedding, head));
  const groups = groupBy(matrices, ({ shape }) => shape.join());
  const total = matrices.length;
  let done = 0;
  for (const group of groups.values()) {
    if (group.length < 2) {
      done += group.length;
      continue;
    }
    const sketches = new CountSketches(group[0]!.shape);
    const leaders: { readonly matrix: StoredMatrix; readonly sketch: CountSketch }[] = [];
    for (const matrix of group) {
      progress(done++, total, matrix.name);
      const sketch = await sketches.of(matrix.source(), matrix.transposed, signal);
      if (!(sketch.energy > 0 && Number.isFinite(sketch.energy))) continue;
      let isAlike = false;
      for (const leader of leaders) {
        if (group.length > MANY && !isNear(leader.matrix, matrix)) continue;
        if (Math.abs(estimatedCosine(leader.sketch, sketch)) < Math.sqrt(1 - near ** 2) - DOUBT) continue;
        if (compared.has(`${leader.matrix.name} ${matrix.name}`)) continue;
        const pair = await compare(leader.matrix, matrix);
        if (pair.residual > near) continue;
        found.push(pair);
        isAlike = true;
        break;
      }
      if (!isAlike) leaders.push({ matrix, sketch });
    }
  }
  return found.sort((a, b) => a.residual - b.residual);
}

const isNear = (a: StoredMatrix, b: StoredMatrix) => a.module === b.module || a.layer === b.layer;

/** Embeddings with heads of as many columns that may be tied to them. */
function heads(matrices: readonly StoredMatrix[]): [StoredMatrix, StoredMatrix][] {
  const of = (wanted: StoredMatrix['role']) => matrices.filter(({ role, layer }) => role === wanted && layer === null);
  return of('embedding').flatMap((embedding) =>
    of('head')
      .filter(({ shape }) => shape[1] === embedding.shape[1] && 2 * shape[0] > embedding.shape[0])
      .map((head): [StoredMatrix, StoredMatrix] => [embedding, head]),
  );
}

async function pairOf(first: StoredMatrix, second: StoredMatrix, signal: AbortSignal | undefined): Promise<AlikePair> {
  const rows = Math.min(first.shape[0], second.shape[0]);
  const sums = await compareEntries(
    { source: first.source(), transposed: first.transposed },
    { source: second.source(), transposed: second.transposed },
    rows,
    signal,
  );
  const { product: inner, base: a, other: b, difference } = sums;
  const norms = Math.sqrt(a) * Math.sqrt(b);
  return {
    first: first.name,
    second: second.name,
    shape: first.shape,
    rows,
    cosine: norms > 0 ? inner / norms : 0,
    factor: a > 0 ? inner / a : 0,
    difference: a > 0 ? Math.sqrt(difference / a) : 0,
    // ||B - f A||^2 = ||B||^2 - <A, B>^2 / ||A||^2, whose digits cancel where the two are nearly equal.
    residual: norms > 0 ? Math.sqrt(Math.max(0, 1 - Math.min(1, inner / norms) ** 2)) : 0,
  };
}
