// Every case of `kernels.ts` compared with torch and NumPy, as the rows of a table.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seededRandom } from '../../src/base/random.ts';
import type { Backend } from '../../src/devices/backend.ts';
import { encode } from '../../src/write/encode.ts';
import { FULL, type KernelCase, type KernelResult, type MatrixData, runCase } from './kernels.ts';
import type { Routine, TorchSide } from './torchSide.ts';

/** Those whose values are compared with the truth. */
const CHECKED: ReadonlySet<Routine> = new Set(['values', 'vectors', 'rank', 'preview']);

/** @param largest omits cases with more than its square in entries */
export async function kernelTable(
  backend: Backend,
  torch: TorchSide | undefined,
  folder: string,
  largest: number,
): Promise<string> {
  const chosen = FULL.filter(({ rows, cols }) => rows * cols <= largest ** 2);
  const results = new Map<KernelCase, KernelResult>();
  let values: Float32Array = new Float32Array(0);
  let truth: number[] | undefined;
  let last = '';
  // Grouped by shape, so that each matrix is generated, and solved in f64, once.
  for (const one of chosen.toSorted((a, b) => a.rows * a.cols - b.rows * b.cols)) {
    const { rows, cols, encoding } = one;
    const file = join(folder, `matrix.${rows}x${cols}`);
    const matrix = { file, rows, cols };
    if (last !== file) {
      values = weights(rows, cols);
      writeFileSync(file, values);
      const isChecked = chosen.some((each) => each.rows === rows && each.cols === cols && CHECKED.has(each.routine));
      truth = isChecked ? await torch?.truth(matrix) : undefined;
      if (last) rmSync(last);
      last = file;
    }
    const data = { values, stored: storedIn(encoding, values) };
    if (encoding) writeFileSync(`${file}.${encoding}`, data.stored);
    const asked = encoding ? { ...matrix, file: `${file}.${encoding}`, encoding } : matrix;
    const result = await runCase(backend, torch, one, data, asked, truth);
    results.set(one, result);
    process.stderr.write(`${row(result)}\n`);
  }
  return `| work | ours, s | theirs, s | by | ours / theirs | ours, processor s | theirs, processor s | ratio | our error | their error |
|---|---|---|---|---|---|---|---|---|---|
${chosen.map((one) => row(results.get(one)!)).join('\n')}

Where our time goes, in milliseconds of the leading thread:

| work | stages |
|---|---|
${chosen.flatMap((one) => stageRow(results.get(one)!)).join('\n')}
`;
}

/** One row if the device tells its stages. */
function stageRow({ routine, rows, cols, stages }: KernelResult): string[] {
  const parts = Object.entries(stages).map(([stage, time]) => `${stage} ${time.toFixed(time < 10 ? 1 : 0)}`);
  return parts.length > 0 ? [`| ${NAMES[routine]}, ${rows} x ${cols} | ${parts.join(', ')} |`] : [];
}

const NAMES: Readonly<Record<KernelCase['routine'], string>> = {
  values: 'all singular values',
  vectors: 'all triplets',
  product: 'product A A^T',
  triangle: 'R of a QR',
  moments: 'R of inputs that come in batches of 2048 rows, against the sum of X X^T',
  rank: 'rank 256 with vectors, against svd_lowrank(q=266, niter=4)',
  preview: 'preview, against exact values',
  decode: 'decoding with sums, against .float(), from',
};

function row(result: KernelResult): string {
  const { routine, encoding, rows, cols, ours, oursCpu, theirs, error, theirError } = result;
  const cell = (x: number | undefined, digits: number) => x?.toFixed(digits) ?? '-';
  const ratio = (mine: number, other: number | undefined) => (other === undefined ? undefined : mine / other);
  const cells = [
    ...[cell(ours, 3), cell(theirs?.seconds, 3), theirs?.peer ?? '-', cell(ratio(ours, theirs?.seconds), 2)],
    ...[cell(oursCpu, 3), cell(theirs?.cpu, 3), cell(ratio(oursCpu, theirs?.cpu), 2)],
    ...[cell(error, 3), cell(theirError, 3)],
  ];
  return `| ${[NAMES[routine], encoding].filter(Boolean).join(' ')}, ${rows} x ${cols} | ${cells.join(' | ')} |`;
}

/** The numbers as stored in a checkpoint. For the 8-bit type, which nothing here encodes, arbitrary finite codes. */
function storedIn(encoding: KernelCase['encoding'], values: Float32Array): MatrixData['stored'] {
  if (encoding === 'BF16' || encoding === 'F16') return encode(values, encoding);
  if (encoding === 'F8_E4M3') return Uint8Array.from(values, (value) => Math.abs(value * 1e4) % 0x7e);
  return new Uint8Array(values.buffer);
}

function weights(rows: number, cols: number): Float32Array {
  const random = seededRandom(rows * 31 + cols);
  const strong = Array.from({ length: 8 }, (_, k) => ({
    left: Float64Array.from({ length: rows }, () => random.normal() / 2 ** k),
    right: Float64Array.from({ length: cols }, () => random.normal()),
  }));
  return Float32Array.from({ length: rows * cols }, (_, at) => {
    const [i, j] = [Math.floor(at / cols), at % cols];
    return 0.02 * strong.reduce((sum, { left, right }) => sum + 0.3 * left[i]! * right[j]!, random.normal());
  });
}
