import { type Pause, yieldOrCancel } from '../../base/eventLoop.ts';
import { effectiveRank, energyRanks } from '../../spectrum/measures.ts';
import { type Columns, dot, productSvd, type SmallSvd } from '../../spectrum/smallSvd.ts';
import { symmetricEigen } from '../../spectrum/symmetricEigen.ts';
import type { SizedFactors } from '../../spectrum/thinFactors.ts';
import { triangle } from '../../spectrum/triangle.ts';

/** scale B A of one adapter. */
export interface FactoredUpdate extends SizedFactors {
  readonly scale: number;
}

export interface UpdateMeasures {
  /** ||scale B A||_F. */
  readonly norm: number;
  readonly effectiveRank: number;
  /** The rank that holds 99 % of its energy. */
  readonly utilisedRank: number;
}

export interface UpdatePair {
  /** Indices among the updates. */
  readonly first: number;
  readonly second: number;
  /** <dW_1, dW_2>_F. */
  readonly inner: number;
  /** inner / (|dW_1| |dW_2|); null where one of them is zero. */
  readonly cosine: number | null;
  /**
   * ||U_1^T U_2||_F^2 / min(i, j) of the leading left (right) singular vectors of each, i and j being their utilised
   * ranks: 1 where one space lies in the other, 0 where they are orthogonal (Hu et al., "LoRA", 2021, section 7.2).
   * Null where one update is zero.
   */
  readonly overlapLeft: number | null;
  readonly overlapRight: number | null;
}

export interface UpdatesComparison {
  readonly measures: readonly UpdateMeasures[];
  readonly pairs: readonly UpdatePair[];
  /** Of the sum of all updates: its norm and the rank that holds 99 % of its energy. */
  readonly sum: { readonly norm: number; readonly rank: number };
}

/**
 * Compares updates of one m x n matrix from their factors alone. With the QR decomposition [B_1 B_2 ...] = Q R, each B
 * is Q times its columns of R, and since Q has orthonormal columns, norms, angles and ranks are those of the columns of
 * R; likewise for all A^T. What remains has as many rows and columns as all ranks add up to. Costs 2 (m + n) (sum r)^2
 * multiplications; the m x n product is never formed.
 */
export async function compareUpdates(
  name: string,
  updates: readonly FactoredUpdate[],
  signal?: AbortSignal,
): Promise<UpdatesComparison> {
  const pause = yieldOrCancel(signal, name);
  const left = await coordinates(updates.map(leftColumns), pause);
  const right = await coordinates(updates.map(rightColumns), pause);
  const found: SmallSvd[] = [];
  for (const [index, { scale }] of updates.entries())
    found.push(await productSvd(scaled(left[index]!, scale), right[index]!, pause));
  const measures = found.map(measuresOf);
  const pairs: UpdatePair[] = [];
  for (let first = 0; first < found.length; first++)
    for (let second = first + 1; second < found.length; second++) {
      await pause();
      pairs.push({ first, second, ...pairOf(found, measures, first, second) });
    }
  const sum = await sumOf(
    updates.flatMap(({ scale }, index) => scaled(left[index]!, scale)),
    right.flat(),
    pause,
  );
  return { measures, pairs, sum };
}

interface Entries {
  readonly height: number;
  readonly width: number;
  readonly entry: (row: number, col: number) => number;
}

const leftColumns = ({ up, outputs, rank }: FactoredUpdate): Entries => ({
  height: outputs,
  width: rank,
  entry: (row, col) => up[row * rank + col]!,
});

const rightColumns = ({ down, inputs, rank }: FactoredUpdate): Entries => ({
  height: inputs,
  width: rank,
  entry: (row, col) => down[col * inputs + row]!,
});

/** The columns of all parts in an orthonormal basis of their joint span, or unchanged if that would not be smaller. */
async function coordinates(parts: readonly Entries[], pause: Pause): Promise<Columns[]> {
  const height = parts[0]!.height;
  const width = parts.reduce((sum, part) => sum + part.width, 0);
  const owner = parts.flatMap((part) => Array.from({ length: part.width }, (_, col) => ({ part, col })));
  if (height <= width)
    return parts.map((part) =>
      Array.from({ length: part.width }, (_, col) =>
        Float64Array.from({ length: height }, (_, row) => part.entry(row, col)),
      ),
    );
  const r = await triangle(height, width, (row, col) => owner[col]!.part.entry(row, owner[col]!.col), pause);
  let from = 0;
  return parts.map((part) => {
    const columns = Array.from({ length: part.width }, (_, col) =>
      r.subarray((from + col) * width, (from + col + 1) * width),
    );
    from += part.width;
    return columns;
  });
}

const scaled = (columns: Columns, scale: number): Columns =>
  columns.map((column) => column.map((value) => scale * value));

function measuresOf({ values }: SmallSvd): UpdateMeasures {
  const energies = values.map((value) => value * value);
  return {
    norm: Math.sqrt(energies.reduce((sum, energy) => sum + energy, 0)),
    effectiveRank: effectiveRank(values),
    utilisedRank: energyRanks(energies)['0.99'],
  };
}

function pairOf(found: readonly SmallSvd[], measures: readonly UpdateMeasures[], first: number, second: number) {
  const [one, other] = [found[first]!, found[second]!];
  const [used, otherUsed] = [measures[first]!.utilisedRank, measures[second]!.utilisedRank];
  if (used === 0 || otherUsed === 0) return { inner: 0, cosine: null, overlapLeft: null, overlapRight: null };
  let [inner, leftSquares, rightSquares] = [0, 0, 0];
  for (let i = 0; i < one.values.length; i++)
    for (let j = 0; j < other.values.length; j++) {
      const left = dot(one.left[i]!, other.left[j]!);
      const right = dot(one.right[i]!, other.right[j]!);
      inner += one.values[i]! * other.values[j]! * left * right;
      if (i >= used || j >= otherUsed) continue;
      leftSquares += left * left;
      rightSquares += right * right;
    }
  const least = Math.min(used, otherUsed);
  return {
    inner,
    // Rounding may exceed the bounds.
    cosine: Math.max(-1, Math.min(1, inner / (measures[first]!.norm * measures[second]!.norm))),
    overlapLeft: Math.min(1, leftSquares / least),
    overlapRight: Math.min(1, rightSquares / least),
  };
}

/**
 * Norm and rank of left right^T, from the eigenvalues of its Gram matrix. Squaring loses values below 1e-8 of the
 * largest, which do not matter for a share of the energy.
 */
async function sumOf(left: Columns, right: Columns, pause: Pause) {
  const height = left[0]!.length;
  const width = right[0]!.length;
  const product: Float64Array[] = [];
  for (let j = 0; j < width; j++) {
    await pause();
    const column = new Float64Array(height);
    for (const [k, vector] of left.entries()) {
      const share = right[k]![j]!;
      if (share !== 0) for (let i = 0; i < height; i++) column[i]! += share * vector[i]!;
    }
    product.push(column);
  }
  const gram = new Float64Array(width * width);
  for (let i = 0; i < width; i++) {
    await pause();
    for (let j = 0; j <= i; j++) gram[i * width + j] = gram[j * width + i] = dot(product[i]!, product[j]!);
  }
  // Shifted, so that the iteration does not resolve the many zero eigenvalues to their last digit of rounding.
  const shift = trace(gram, width);
  for (let i = 0; i < width; i++) gram[i * width + i]! += shift;
  const energies = symmetricEigen(gram, width, [])
    .values.map((value) => Math.max(0, value - shift))
    .sort((a, b) => b - a);
  return {
    norm: Math.sqrt(energies.reduce((sum, energy) => sum + energy, 0)),
    rank: energyRanks(energies)['0.99'],
  };
}

function trace(matrix: Float64Array, width: number): number {
  let sum = 0;
  for (let i = 0; i < width; i++) sum += matrix[i * width + i]!;
  return sum;
}
