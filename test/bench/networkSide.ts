// Our side of a network, in a process of its own: PATH TEXT ENGINE THREADS FOLDER. Prints one line of JSON, a
// `NetworkAnswer`, and writes the windows of the text to FOLDER for the other side.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/open.ts';
import { openNetwork } from '../../src/network/network.ts';
import { readWindows } from '../../src/network/readWindows.ts';
import { createService } from '../../src/service/service.ts';
import { benchPolicy } from './benchPolicy.ts';

/** Seconds by the clock, and processor seconds of all threads together. */
export interface Timed {
  readonly seconds: number;
  readonly cpu: number;
}

export interface NetworkAnswer {
  readonly perplexity: number;
  readonly dense: Timed;
  /** The dense network and eight ranks beside it, with the decompositions that make them. */
  readonly variants: Timed;
  readonly statistics: Timed;
}

const RANKS = [16, 32, 48, 64, 80, 96, 112, 128];

const [path = '', text = '', engine = '', threads = '', folder = ''] = process.argv.slice(2);
const service = createService({ blas: benchPolicy() });
const request = { path, text, engine, threads: Number(threads) };
const timed = async <Result>(work: () => Promise<Result>): Promise<Timed & { readonly result: Result }> => {
  const [start, before] = [performance.now(), process.cpuUsage()];
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - start) / 1000, cpu: (user + system) / 1e6, result };
};
const timesOf = ({ seconds, cpu }: Timed): Timed => ({ seconds, cpu });

// The device starts and proves itself once, as torch is loaded once.
await service.evaluate({ ...request, context: 16, tokens: 16 });
const dense = await timed(() => service.evaluate({ ...request, tokens: 2048 }));
const variants = await timed(() => service.evaluate({ ...request, tokens: 2048, ranks: RANKS }));
const statistics = await timed(() =>
  service.calibrate({ ...request, tokens: 16_384, out: join(folder, 'bench.activations.safetensors') }),
);
const answer: NetworkAnswer = {
  perplexity: dense.result.dense.perplexity,
  dense: timesOf(dense),
  variants: timesOf(variants),
  statistics: timesOf(statistics),
};
await service.close();
const checkpoint = await openCheckpoint(path);
const many = { text, tokens: 16_384 };
const { windows } = await readWindows(checkpoint, await openNetwork(checkpoint), many, undefined);
writeFileSync(join(folder, 'windows.json'), JSON.stringify(windows.map((window) => Array.from(window))));
await checkpoint.close();
process.stdout.write(`${JSON.stringify(answer)}\n`);
