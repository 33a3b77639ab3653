// A network beside transformers: the perplexity of 2,048 tokens, dense and with eight ranks beside it, and statistics
// of 16,384 tokens. Each side runs in a process of its own.
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { built } from './built.ts';
import { lineOf } from './lineOf.ts';
import type { NetworkAnswer, Timed } from './networkSide.ts';

interface TransformersAnswer extends Pick<NetworkAnswer, 'perplexity' | 'dense' | 'statistics'> {
  readonly versions: Readonly<Record<'torch' | 'transformers', string>>;
}

export interface NetworkFiles {
  readonly path: string;
  readonly text: string;
}

/** The network and the text of the shared files; undefined, with the reason in words, where one is missing. */
export function sharedNetwork(named: string | undefined): NetworkFiles | string {
  const shared = fileURLToPath(new URL('../../../shared', import.meta.url));
  const checkpoints = process.env.RANKSCOPE_CHECKPOINTS ?? join(shared, 'checkpoints');
  const path = named ?? join(checkpoints, 'smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf');
  const text = join(checkpoints, '../text/wikitext2-evaluation.txt');
  const missing = [path, text].find((file) => !existsSync(file));
  return missing === undefined ? { path, text } : `${missing} is missing`;
}

export async function runNetwork(
  python: string,
  { path, text }: NetworkFiles,
  { engine, threads, folder }: { readonly engine: string; readonly threads: number; readonly folder: string },
): Promise<string> {
  const fileOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  const side = [await built('networkSide.ts'), path, text, engine, `${threads}`, folder];
  const ours = (await lineOf(process.execPath, side)) as NetworkAnswer;
  const script = [fileOf('./torch_network.py'), path, join(folder, 'windows.json'), `${threads}`];
  const theirs = (await lineOf(python, script)) as TransformersAnswer;
  return tableOf(basename(path), ours, theirs);
}

function tableOf(name: string, ours: NetworkAnswer, theirs: TransformersAnswer): string {
  const row = (work: string, own: Timed, other: Timed) =>
    `| ${work} | ${own.seconds.toFixed(1)} | ${own.cpu.toFixed(1)} | ${other.seconds.toFixed(1)} | ${other.cpu.toFixed(1)} | ${(own.seconds / other.seconds).toFixed(2)} | ${(own.cpu / other.cpu).toFixed(2)} |`;
  return `${name}; theirs: transformers ${theirs.versions.transformers} on torch ${theirs.versions.torch}, the same threads, float32. Ours read and dequantize the
file each time; theirs have it in memory. Eight ranks from 16 to 128, for all matrices that a plan cuts by default, include
the decompositions, and stand beside their dense pass alone. Statistics are R of X^T by a streaming QR, theirs X X^T.
Perplexity: ours ${ours.perplexity.toFixed(4)}, theirs ${theirs.perplexity.toFixed(4)}.

| work | ours, s | processor s | theirs, s | processor s | ours / theirs | processor |
|---|---|---|---|---|---|---|
${row('perplexity of 2,048 tokens', ours.dense, theirs.dense)}
${row('the same with eight ranks beside it', ours.variants, theirs.dense)}
${row('statistics of 16,384 tokens', ours.statistics, theirs.statistics)}
`;
}
