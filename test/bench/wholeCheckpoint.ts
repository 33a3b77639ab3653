// A whole checkpoint compared with torch: each side computes all matrices of a LLaMA-shaped bf16 checkpoint in a
// process of its own.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCheckpoint } from '../../src/checkpoint/open.ts';
import { built } from './built.ts';
import type { CheckpointAnswer } from './checkpointSide.ts';
import { previewError, valuesError } from './errors.ts';
import { lineOf } from './lineOf.ts';

export interface CheckpointShape {
  readonly hidden: number;
  readonly layers: number;
}

type TorchAnswer = Omit<CheckpointAnswer, 'previewSeconds' | 'ranks'>;

export interface CheckpointResult {
  readonly shape: CheckpointShape;
  readonly bytes: number;
  readonly matrices: number;
  /** The memory allowed: the largest matrix in f32 four times, and 300 MB. */
  readonly memoryBound: number;
  readonly ours: CheckpointAnswer;
  readonly torch: TorchAnswer;
  readonly weightWatcher: WeightWatcherAnswer | undefined;
  /** Largest error of a value in a sample of the matrices, in units of eps sqrt(max(m, n)) sigma_1. */
  readonly error: number;
  readonly torchError: number;
  /** Largest error of a previewed energy rank in that sample, divided by p. */
  readonly previewError: number;
}

/** Parses `2048x3`, 3 layers of width 2048. @throws Error for anything else */
export function parseShape(text: string): CheckpointShape {
  const [, hidden, layers] = /^(\d+)x(\d+)$/.exec(text) ?? [];
  if (!hidden || !layers)
    throw new Error(`--checkpoint ${text}: expected a width and a number of layers, such as 2048x3`);
  return { hidden: Number(hidden), layers: Number(layers) };
}

interface Sides {
  readonly engine: string;
  readonly threads: number;
  /** An interpreter that has WeightWatcher. */
  readonly weightWatcher: string | undefined;
}

interface WeightWatcherAnswer {
  readonly seconds: number;
  readonly version: string;
  readonly matrices: number;
}

/** Runs all sides, one after the other, on a checkpoint that it writes to `folder`. */
export async function runCheckpoint(
  python: string,
  folder: string,
  shape: CheckpointShape,
  { engine, threads, weightWatcher: interpreter }: Sides,
): Promise<CheckpointResult> {
  const { hidden, layers } = shape;
  await script(python, ['make', folder, `${hidden}`, `${layers}`]);
  const index = join(folder, 'model.safetensors.index.json');
  const checkpoint = await openCheckpoint(index);
  const matrices = checkpoint.tensors.filter(({ shape: sizes }) => sizes.length === 2);
  await checkpoint.close();
  const names = ['model.layers.0.self_attn.q_proj.weight', `model.layers.${layers - 1}.mlp.down_proj.weight`];
  const words = [await built('checkpointSide.ts'), index, engine, `${threads}`, ...names];
  const ours = (await lineOf(process.execPath, words)) as CheckpointAnswer;
  const torch = (await script(python, ['run', folder, `${threads}`, ...names])) as TorchAnswer;
  const weightWatcher = interpreter
    ? ((await script(interpreter, ['weightwatcher', folder, `${threads}`])) as WeightWatcherAnswer)
    : undefined;
  const truth = (await script(python, ['truth', folder, ...names])) as Record<string, number[]>;
  const sizes = (name: string) => matrices.find((one) => one.name === name)!.shape as readonly [number, number];
  const largest = (errorOf: (name: string) => number) => Math.max(...names.map(errorOf));
  const ofValues = ({ values }: TorchAnswer) =>
    largest((name) => valuesError(values[name] ?? [], truth[name]!, sizes(name)));
  return {
    shape,
    bytes: checkpoint.files.reduce((sum, file) => sum + statSync(file.path).size, 0),
    matrices: matrices.length,
    memoryBound: 16 * Math.max(...matrices.map(({ shape: [m = 0, n = 0] }) => m * n)) + 300e6,
    ours,
    torch,
    weightWatcher,
    error: ofValues(ours),
    torchError: ofValues(torch),
    previewError: largest((name) => previewError(ours.ranks[name] ?? [], truth[name]!, sizes(name))),
  };
}

export function checkpointTable(result: CheckpointResult): string {
  const { shape, bytes, matrices, memoryBound, ours, torch, weightWatcher, error, torchError } = result;
  const megabytes = (count: number) => `${(count / 1e6).toFixed(0)} MB`;
  const row = (side: string, answer: TorchAnswer, first: string, errors: string) =>
    `| ${side} | ${answer.seconds.toFixed(1)} | ${answer.cpu.toFixed(1)} | ${first} | ${megabytes(answer.peak)} | ${errors} |`;
  return `${matrices} matrices in bf16 shaped as in LLaMA, ${shape.layers} layers of width ${shape.hidden} in shards, ${megabytes(bytes)} in all. Ours is the analysis of the service:
reading, decoding and computing overlap, and memory must stay below ${megabytes(memoryBound)} (the largest matrix in f32 four times, and 300 MB).
Theirs: each matrix through safetensors, \`.float()\` and \`torch.linalg.svdvals\`. First values: a preview of every matrix. Errors are for two of
the matrices.

| side | all singular values, s | processor s | first values of every matrix, s | peak memory | largest error |
|---|---|---|---|---|---|
${row('ours', ours, ours.previewSeconds.toFixed(1), `${error.toFixed(3)}; of a previewed energy rank ${result.previewError.toFixed(3)}`)}
${row('torch', torch, '-', torchError.toFixed(3))}
| ours / torch | ${(ours.seconds / torch.seconds).toFixed(2)} | ${(ours.cpu / torch.cpu).toFixed(2)} | ${(ours.previewSeconds / torch.seconds).toFixed(2)} | ${(ours.peak / torch.peak).toFixed(2)} | |

${besideWeightWatcher(weightWatcher, ours)}
`;
}

function besideWeightWatcher(theirs: WeightWatcherAnswer | undefined, ours: CheckpointAnswer): string {
  if (!theirs) return 'WeightWatcher was not measured (RANKSCOPE_WEIGHTWATCHER does not name a Python with it).';
  const { version, seconds, matrices } = theirs;
  const times = (seconds / ours.seconds).toFixed(1);
  return `WeightWatcher ${version} takes ${seconds.toFixed(1)} s for ${matrices} of the matrices, with its default settings: ${times} times as long.`;
}

function script(python: string, words: readonly string[]): Promise<unknown> {
  return lineOf(python, [fileURLToPath(new URL('./torch_checkpoint.py', import.meta.url)), ...words]);
}
