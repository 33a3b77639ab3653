// npm run bench [-- --largest 1024] [--engine NAME] [--threads N]
//
// `--largest N` leaves out matrices of more than N^2 entries.
//
// Times the engines beside torch in one run, where RANKSCOPE_PYTHON names a Python that has it, with the accuracy against LAPACK in f64
// beside each time, and writes RESULTS.md. Matrices look like weights: a Gaussian with a few strong directions.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { seededRandom } from '../../src/base/random.ts';
import { chooseEngine } from '../../src/engine/choose.ts';
import { FULL, type KernelResult, runCase } from './kernels.ts';
import { TorchSide } from './torchSide.ts';

const { values: options } = parseArgs({
  options: {
    largest: { type: 'string', default: '8192' },
    engine: { type: 'string', default: 'cpu' },
    threads: { type: 'string' },
  },
});
const chosen = FULL.filter(({ rows, cols }) => rows * cols <= Number(options.largest) ** 2);
const python = process.env.RANKSCOPE_PYTHON;
const threads = options.threads === undefined ? undefined : Number(options.threads);
const backend = await chooseEngine({ engine: options.engine, threads });
const torch = python ? await TorchSide.start(python, backend.info.threads) : undefined;
const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-bench-'));
const load = loadavg()[0]!;
const results: KernelResult[] = [];
try {
  let last = '';
  let data: Float32Array = new Float32Array(0);
  let truth: number[] | undefined;
  const file = path.join(folder, 'matrix.f32');
  // By shape, so that each matrix is made, and solved in f64, once.
  const cases = chosen.toSorted((a, b) => a.rows * a.cols - b.rows * b.cols);
  for (const one of cases) {
    const { rows, cols } = one;
    const matrix = { file: `${file}.${rows}x${cols}`, rows, cols };
    if (last !== matrix.file) {
      data = weights(rows, cols);
      writeFileSync(matrix.file, data);
      truth = await torch?.side.truth(matrix);
      if (last) rmSync(last);
      last = matrix.file;
    }
    const result = await runCase(backend, torch?.side, one, data, matrix, truth);
    results.push(result);
    process.stderr.write(`${row(result)}\n`);
  }
} finally {
  rmSync(folder, { recursive: true });
  torch?.side.close();
  await backend.close();
}
const order = chosen.map(({ routine, rows, cols }) => `${routine} ${rows} ${cols}`);
results.sort(
  (a, b) => order.indexOf(`${a.routine} ${a.rows} ${a.cols}`) - order.indexOf(`${b.routine} ${b.rows} ${b.cols}`),
);
const report = `# Kernels beside torch

Written by \`npm run bench\`. Both sides take turns in one run and the best of each counts: on a machine with other work, the ratios mean more
than the times, and beyond a load of about one a core even they are unfair (threads that wait for each other suffer first): then trust processor
seconds on one thread. Errors are the largest |sigma_i - truth_i| in units of eps32 sqrt(max(m, n)) sigma_1, the truth being LAPACK in float64;
of a rank, the approximation's error over the least possible one; of a preview, the largest error of an energy rank as a share of all ranks.

- ${cpus()[0]?.model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}; load ${load.toFixed(1)} at the start, ${loadavg()[0]!.toFixed(1)} at the end
- ours: ${backend.info.name}, ${backend.info.threads} threads, ${backend.info.device}, Node ${process.versions.node}
- theirs: ${torch ? `torch ${torch.version}, ${backend.info.threads} threads, float32` : 'not measured (RANKSCOPE_PYTHON is not set)'}

| work | ours, s | torch, s | ours / torch | ours, processor s | torch, processor s | ratio | our error | torch's error |
|---|---|---|---|---|---|---|---|---|
${results.map(row).join('\n')}
`;
writeFileSync(new URL('./RESULTS.md', import.meta.url), report);

function row({ routine, rows, cols, ours, oursCpu, torch: theirs, torchCpu, error, torchError }: KernelResult): string {
  const names = {
    values: 'all singular values',
    vectors: 'all triplets',
    product: 'product A A^T',
    triangle: 'R of a QR',
    rank: 'rank 256 with vectors, beside svd_lowrank(q=266, niter=4)',
    preview: 'preview, beside exact values',
  };
  const cell = (x: number | undefined, digits: number) => x?.toFixed(digits) ?? '-';
  const ratio = (mine: number, other: number | undefined) => (other === undefined ? undefined : mine / other);
  const cells = [
    ...[cell(ours, 3), cell(theirs, 3), cell(ratio(ours, theirs), 2)],
    ...[cell(oursCpu, 3), cell(torchCpu, 3), cell(ratio(oursCpu, torchCpu), 2)],
    ...[cell(error, 3), cell(torchError, 3)],
  ];
  return `| ${names[routine]}, ${rows} x ${cols} | ${cells.join(' | ')} |`;
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
