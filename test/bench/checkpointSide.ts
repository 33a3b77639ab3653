// Our side of a whole checkpoint, in a process of its own so that its memory can be measured: PATH ENGINE THREADS
// NAME... Prints one line of JSON, a `CheckpointAnswer`.
import { ENERGY_LEVELS } from '../../src/base/energyLevels.ts';
import { createService } from '../../src/service/service.ts';
import { benchPolicy } from './benchPolicy.ts';

export interface CheckpointAnswer {
  /** Seconds until every matrix has its first values. */
  readonly previewSeconds: number;
  /** Seconds for all singular values of every matrix. */
  readonly seconds: number;
  readonly cpu: number;
  /** Peak memory of the process, in bytes. */
  readonly peak: number;
  /** Singular values of the named matrices. */
  readonly values: Readonly<Record<string, readonly number[]>>;
  /** Their previewed energy ranks, in the order of `ENERGY_LEVELS`. */
  readonly ranks: Readonly<Record<string, readonly number[]>>;
}

const [path = '', engine = '', threads = '', ...names] = process.argv.slice(2);
const service = createService({ blas: benchPolicy() });
const request = { path, engine, threads: Number(threads), cache: false };
const timed = async (mode: 'preview' | 'exact') => {
  const [start, cpu] = [performance.now(), process.cpuUsage()];
  const { matrices } = await service.analyze({ ...request, mode, values: true });
  const { user, system } = process.cpuUsage(cpu);
  const named = matrices.filter(({ name }) => names.includes(name));
  return { seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6, named };
};

// The device starts and proves itself once, as torch is loaded once.
await service.analyze({ ...request, mode: 'preview', tensors: names.slice(0, 1) });
const preview = await timed('preview');
const exact = await timed('exact');
const answer: CheckpointAnswer = {
  previewSeconds: preview.seconds,
  seconds: exact.seconds,
  cpu: exact.cpu,
  peak: process.resourceUsage().maxRSS * 1024,
  values: Object.fromEntries(exact.named.map(({ name, singularValues }) => [name, singularValues ?? []])),
  ranks: Object.fromEntries(
    preview.named.map(({ name, energyRanks }) => [name, ENERGY_LEVELS.map((level) => energyRanks[level])]),
  ),
};
await service.close();
process.stdout.write(`${JSON.stringify(answer)}\n`);
