// Compares the measures with those of WeightWatcher and diffract-core, where they have the same definition.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import type { MatrixFinding } from '../../src/model/findings.ts';
import { numericalFloor } from '../../src/spectrum/measures.ts';
import { safetensorsBytes } from '../unit/formats/safetensorsBytes.ts';

/** A matrix [out, in], row by row. */
export interface Dense {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly values: Float32Array;
}

type Numbers = Readonly<Record<string, number>>;
type Tool = 'WeightWatcher' | 'diffract-core';
export type OtherTools = Readonly<
  Record<Tool, { readonly version: string; readonly matrices: Record<string, Numbers> }>
>;

/**
 * What the tools find for these matrices.
 * @param python an interpreter that has weightwatcher and diffract-core. @param file where the matrices are written.
 */
export function runOtherTools(python: string, matrices: readonly Dense[], file: string): OtherTools {
  let at = 0;
  const header = matrices.map(({ name, shape, values }) => {
    const entry = { dtype: 'F32', shape, data_offsets: [at, at + values.byteLength] };
    at += values.byteLength;
    return [name, entry] as const;
  });
  const data = Buffer.concat(
    matrices.map(({ values }) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
  );
  writeFileSync(file, safetensorsBytes(Object.fromEntries(header), data));
  const run = spawnSync(python, ['test/python/otherTools.py', file], { encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (run.status !== 0) throw new Error(`${python}: ${run.stderr.slice(-2000)}`);
  // What the tools print themselves comes before the result.
  return JSON.parse(run.stdout.trimEnd().split('\n').at(-1)!) as OtherTools;
}

/** One measure that a tool defines as Rankscope does. */
export interface SharedMeasure {
  readonly title: string;
  readonly tool: Tool;
  /** Its value for the tool and for Rankscope; undefined if the definitions differ for this matrix. */
  readonly values: (theirs: Numbers, ours: MatrixFinding) => readonly [theirs: number, ours: number] | undefined;
}

const pair = (theirs: number | undefined, ours: number | null) =>
  theirs === undefined || ours === null ? undefined : ([theirs, ours] as const);

/** The eigenvalues of W^T W to which a power law is fitted; the tools leave out different ones as rounding. */
const fitted = {
  ours: ({ singularValues = [], shape }: MatrixFinding) =>
    singularValues.filter((value) => value > numericalFloor(shape) * singularValues[0]!).length,
  weightWatcher: ({ singularValues = [] }: MatrixFinding) => singularValues.filter((value) => value ** 2 > 1e-5).length,
  diffract: ({ singularValues = [] }: MatrixFinding) => singularValues.length,
};
const alike = (count: (finding: MatrixFinding) => number, ours: MatrixFinding) => count(ours) === fitted.ours(ours);

export const SHARED: readonly SharedMeasure[] = [
  { title: 'stable rank', tool: 'WeightWatcher', values: (theirs, ours) => pair(theirs.stable_rank, ours.stableRank) },
  {
    title: 'log norm',
    tool: 'WeightWatcher',
    values: (theirs, ours) => pair(theirs.log_norm, 2 * Math.log10(ours.frobeniusNorm)),
  },
  {
    title: 'log spectral norm',
    tool: 'WeightWatcher',
    values: (theirs, ours) => pair(theirs.log_spectral_norm, 2 * Math.log10(ours.spectralNorm)),
  },
  {
    title: 'entropy',
    tool: 'WeightWatcher',
    values: (theirs, ours) =>
      theirs.matrix_rank === ours.numericalRank && ours.numericalRank > 1
        ? pair(theirs.entropy, Math.log(ours.effectiveRankEnergy) / Math.log(ours.numericalRank))
        : undefined,
  },
  {
    title: 'alpha',
    tool: 'WeightWatcher',
    values: (theirs, ours) => (alike(fitted.weightWatcher, ours) ? pair(theirs.alpha, ours.alpha) : undefined),
  },
  {
    title: 'distance of alpha',
    tool: 'WeightWatcher',
    values: (theirs, ours) => (alike(fitted.weightWatcher, ours) ? pair(theirs.D, ours.alphaDistance) : undefined),
  },
  { title: 'stable rank', tool: 'diffract-core', values: (theirs, ours) => pair(theirs.stable_rank, ours.stableRank) },
  {
    title: 'effective rank',
    tool: 'diffract-core',
    values: (theirs, ours) => pair(theirs.effective_rank, ours.effectiveRank),
  },
  {
    title: 'Frobenius norm',
    tool: 'diffract-core',
    values: (theirs, ours) => pair(theirs.frob_norm, ours.frobeniusNorm),
  },
  { title: 'spectral norm', tool: 'diffract-core', values: (theirs, ours) => pair(theirs.l2_norm, ours.spectralNorm) },
  {
    title: 'alpha',
    tool: 'diffract-core',
    values: (theirs, ours) => (alike(fitted.diffract, ours) ? pair(theirs.pl_alpha, ours.alpha) : undefined),
  },
  {
    title: 'distance of alpha',
    tool: 'diffract-core',
    values: (theirs, ours) => (alike(fitted.diffract, ours) ? pair(theirs.pl_ks, ours.alphaDistance) : undefined),
  },
];

/**
 * The difference of two values, relative where they are larger than one: a logarithm and a distance are compared
 * absolutely, a rank relatively.
 */
export function differenceOf([theirs, ours]: readonly [number, number]): number {
  return Math.abs(theirs - ours) / Math.max(1, Math.abs(theirs));
}
