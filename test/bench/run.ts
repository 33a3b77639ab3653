// npm run bench [-- --largest 1024] [--checkpoint 2048x3] [--network PATH] [--engine NAME] [--threads N]
//
// `--largest N` omits matrices with more than N^2 entries; 0 omits all kernels. `--checkpoint WxL` gives the whole
// checkpoint L layers of width W; `none` omits it. What is omitted keeps its section in RESULTS.md. `--network PATH`
// names a language model to compare with transformers, or `none`; by default SmolLM2 of the shared checkpoints.
// `--first-values llama|experts|PATH` also times the first values of a big model.
//
// Times a device and, if RANKSCOPE_PYTHON names a Python with them, torch and NumPy in one run, with the accuracy
// against LAPACK in f64, and writes RESULTS.md. Matrices resemble weights: Gaussian, with a few strong directions.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chooseDevice } from '../../src/devices/choose.ts';
import { benchPolicy } from './benchPolicy.ts';
import { firstValues } from './firstValues.ts';
import { kernelTable } from './kernelTable.ts';
import { runNetwork, sharedNetwork } from './network.ts';
import { type Peer, TorchSide } from './torchSide.ts';
import { checkpointTable, parseShape, runCheckpoint } from './wholeCheckpoint.ts';

const HEAD = `# Compared with torch

Written by \`npm run bench\`. All sides take turns in one run, and the best of each counts; the other side is whichever
of torch and NumPy is faster. On a machine with other work the ratios mean more than the times; above a load of about
one per core even they are unfair, because threads that wait for each other suffer first, and only processor seconds
on one thread can be trusted. An error is the largest |sigma_i - truth_i| in units of eps32 sqrt(max(m, n)) sigma_1,
against LAPACK in float64; for a rank, the error of the approximation relative to the least possible; for a preview,
the largest error of an energy rank as a fraction of min(m, n).
`;

const { values: options } = parseArgs({
  options: {
    largest: { type: 'string', default: '8192' },
    checkpoint: { type: 'string', default: '2048x3' },
    engine: { type: 'string', default: 'cpu' },
    threads: { type: 'string' },
    network: { type: 'string' },
    'first-values': { type: 'string' },
  },
});
const python = process.env.RANKSCOPE_PYTHON;
const shape = options.checkpoint === 'none' ? undefined : parseShape(options.checkpoint);
const threads = options.threads === undefined ? undefined : Number(options.threads);
const backend = await chooseDevice({ engine: options.engine, threads, blas: benchPolicy() });
const folder = mkdtempSync(join(tmpdir(), 'rankscope-bench-'));
try {
  const torch = python ? await TorchSide.start(python, backend.info.threads) : undefined;
  const load = loadavg()[0]!;
  const table = await kernelTable(backend, torch?.side, folder, Number(options.largest)).finally(() =>
    torch?.side.close(),
  );
  if (Number(options.largest) > 0) write('Kernels', `${machine(load, torch?.versions)}\n\n${table}`);
  await backend.close();
  if (shape && !python)
    process.stderr.write('The whole checkpoint was skipped: RANKSCOPE_PYTHON does not name a Python with torch.\n');
  if (shape && python) {
    const before = loadavg()[0]!;
    const whole = await runCheckpoint(python, folder, shape, {
      engine: options.engine,
      threads: backend.info.threads,
      weightWatcher: process.env.RANKSCOPE_WEIGHTWATCHER,
    });
    write('A whole checkpoint', `${machine(before, torch?.versions)}\n\n${checkpointTable(whole)}`);
  }
  if (options.network !== 'none') {
    const files = sharedNetwork(options.network);
    if (typeof files === 'string') process.stderr.write(`The network was skipped: ${files}.\n`);
    else if (!python)
      process.stderr.write('The network was skipped: RANKSCOPE_PYTHON does not name a Python with transformers.\n');
    else {
      const before = loadavg()[0]!;
      const sides = { engine: options.engine, threads: backend.info.threads, folder };
      const table = await runNetwork(python, files, sides);
      write('A network', `${machine(before, torch?.versions)}\n\n${table}`);
    }
  }
  const model = options['first-values'];
  if (model)
    write(`First values (${model})`, `${machine(loadavg()[0]!, undefined)}\n\n${await firstValues(model, folder)}`);
} finally {
  rmSync(folder, { recursive: true });
  await backend.close();
}

function machine(load: number, versions: Record<Peer, string> | undefined): string {
  // Not the reason, which names paths of this machine.
  const { name, threads: count, device } = backend.info;
  const loads = `load ${load.toFixed(1)} at the start, ${loadavg()[0]!.toFixed(1)} at the end`;
  const theirs = versions
    ? `torch ${versions.torch} and NumPy ${versions.numpy}, ${count} threads, float32`
    : 'not measured (RANKSCOPE_PYTHON is not set)';
  return `- ${cpus()[0]?.model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}; ${loads}
- ours: ${name}, ${count} threads, ${device}, Node ${process.versions.node}
- theirs: ${theirs}`;
}

/** Replaces the section of the same title and processor. */
function write(subject: string, text: string): void {
  const title = `${subject}: ${cpus()[0]?.model.trim()}`;
  const file = new URL('./RESULTS.md', import.meta.url);
  const [, ...old] = existsSync(file) ? readFileSync(file, 'utf8').split(/^## /m) : [];
  const sections = new Map(old.map((section) => [section.slice(0, section.indexOf('\n')), section]));
  sections.set(title, `${title}\n\n${text.trimEnd()}\n`);
  const parts = [...sections.values()].map((section) => `## ${section.trimEnd()}\n`);
  writeFileSync(file, [HEAD, ...parts].join('\n'));
}
