// npm run bench [-- --largest 1024] [--checkpoint 2048x3] [--engine NAME] [--threads N]
//
// `--largest N` leaves out matrices of more than N^2 entries, 0 leaves out all kernels. `--checkpoint WxL` gives the whole checkpoint L layers
// of width W, `none` leaves it out. What is left out keeps its place in RESULTS.md.
//
// Times the engines beside torch in one run, where RANKSCOPE_PYTHON names a Python that has it, with the accuracy against LAPACK in f64
// beside each time, and writes RESULTS.md. Matrices look like weights: a Gaussian with a few strong directions.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chooseDevice } from '../../src/devices/choose.ts';
import { kernelTable } from './kernelTable.ts';
import { TorchSide } from './torchSide.ts';
import { checkpointTable, parseShape, runCheckpoint } from './wholeCheckpoint.ts';

const HEAD = `# Beside torch

Written by \`npm run bench\`. Both sides take turns in one run and the best of each counts: on a machine with other work, the ratios mean more
than the times, and beyond a load of about one a core even they are unfair (threads that wait for each other suffer first): then trust processor
seconds on one thread. Errors are the largest |sigma_i - truth_i| in units of eps32 sqrt(max(m, n)) sigma_1, the truth being LAPACK in float64;
of a rank, the approximation's error over the least possible one; of a preview, the largest error of an energy rank as a share of all ranks.
`;

const { values: options } = parseArgs({
  options: {
    largest: { type: 'string', default: '8192' },
    checkpoint: { type: 'string', default: '2048x3' },
    engine: { type: 'string', default: 'cpu' },
    threads: { type: 'string' },
  },
});
const python = process.env.RANKSCOPE_PYTHON;
const shape = options.checkpoint === 'none' ? undefined : parseShape(options.checkpoint);
const threads = options.threads === undefined ? undefined : Number(options.threads);
const backend = await chooseDevice({ engine: options.engine, threads });
const folder = mkdtempSync(join(tmpdir(), 'rankscope-bench-'));
try {
  const torch = python ? await TorchSide.start(python, backend.info.threads) : undefined;
  const load = loadavg()[0]!;
  const table = await kernelTable(backend, torch?.side, folder, Number(options.largest)).finally(() =>
    torch?.side.close(),
  );
  if (Number(options.largest) > 0) write('Kernels', `${machine(load, torch?.version)}\n\n${table}`);
  await backend.close();
  if (shape && !python) process.stderr.write('No whole checkpoint: RANKSCOPE_PYTHON names no Python with torch.\n');
  if (shape && python) {
    const before = loadavg()[0]!;
    const whole = await runCheckpoint(python, folder, shape, {
      engine: backend.info.name,
      threads: backend.info.threads,
    });
    write('A whole checkpoint', `${machine(before, torch?.version)}\n\n${checkpointTable(whole)}`);
  }
} finally {
  rmSync(folder, { recursive: true });
  await backend.close();
}

function machine(load: number, torch: string | undefined): string {
  const { name, threads: count, device } = backend.info;
  const loads = `load ${load.toFixed(1)} at the start, ${loadavg()[0]!.toFixed(1)} at the end`;
  const theirs = torch ? `torch ${torch}, ${count} threads, float32` : 'not measured (RANKSCOPE_PYTHON is not set)';
  return `- ${cpus()[0]?.model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}; ${loads}
- ours: ${name}, ${count} threads, ${device}, Node ${process.versions.node}
- theirs: ${theirs}`;
}

/** Puts a section in the place of the one that has its title. */
function write(title: string, text: string): void {
  const file = new URL('./RESULTS.md', import.meta.url);
  const [, ...old] = existsSync(file) ? readFileSync(file, 'utf8').split(/^## /m) : [];
  const sections = new Map(old.map((section) => [section.slice(0, section.indexOf('\n')), section]));
  sections.set(title, `${title}\n\n${text.trimEnd()}\n`);
  const parts = [...sections.values()].map((section) => `## ${section.trimEnd()}\n`);
  writeFileSync(file, [HEAD, ...parts].join('\n'));
}
