import { basename } from 'node:path';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { FactorStyle } from '../model/factorStyle.ts';
import { expertOfStack, moduleOfWeight } from '../model/names/moduleOfWeight.ts';
import type { Plan } from '../model/plan/plan.ts';
import type { StoredMatrix } from '../model/storedMatrix.ts';
import { expertStacks } from './expertStacks.ts';

/** A matrix with its planned rank. */
export interface Chosen {
  readonly matrix: StoredMatrix;
  readonly rank: number;
  readonly predictedError: number;
  /** Those with which it shares its factor A, itself included, in the order in which they are written. */
  readonly group?: SharedGroup;
}

/** Matrices that share their factor A, which is written under the name of the first. */
export interface SharedGroup {
  readonly name: string;
  readonly matrices: readonly StoredMatrix[];
}

/** Keys of the metadata that describe the factorization; the generated Python reads `stored`, `stacks` and `ties`. */
const KEYS = {
  format: 'rankscope.format',
  source: 'rankscope.source',
  factors: 'rankscope.factors',
  request: 'rankscope.request',
  ranks: 'rankscope.ranks',
  stored: 'rankscope.stored',
  ties: 'rankscope.ties',
  stacks: 'rankscope.stacks',
  types: 'rankscope.types',
  style: 'rankscope.style',
} as const;

/** Metadata that the reader took from files beside the checkpoint. */
const ELSEWHERE = /^[\w.]+\.json: /;

const FORMAT = 'rankscope.factorized/1';
const TRUNCATED = 'rankscope.truncated/1';

/** What the file itself says, which its factorized form says as well. */
export function ownMetadata({ metadata }: Pick<Checkpoint, 'metadata'>): (readonly [string, string])[] {
  return [...metadata].filter(([key]) => !ELSEWHERE.test(key));
}

/**
 * The original metadata and a description of the factorization: the source's name, the request of the plan, the rank of
 * each matrix, how those were stored that are not (out, in) in their tensor, and stacks of experts, the names left out
 * because they are tied, factors that matrices share included, with the tensors they are tied to, and the types of
 * matrices whose factors have another type.
 */
export function factorizedMetadata(
  checkpoint: Checkpoint,
  plan: Plan,
  chosen: readonly Chosen[],
  groups: readonly (readonly string[])[],
  style: FactorStyle = 'rankscope',
): Map<string, string> {
  const ties = [
    ...groups.flatMap(([first, ...others]) => others.map((name) => [name, first!] as const)),
    ...chosen.flatMap(({ matrix, group }) => {
      const [first] = group?.matrices ?? [];
      return first && first !== matrix ? [[sharedFactorName(matrix), sharedFactorName(first)] as const] : [];
    }),
  ];
  const changed = chosen
    .map(({ matrix }) => matrix)
    .filter(({ tensor }) => !['F64', 'F32', 'F16', 'BF16'].includes(tensor.dtype))
    .map(({ name, tensor }) => [name, tensor.dtype] as const);
  const stored = chosen
    .map(({ matrix }) => matrix)
    .filter(({ name, transposed, tensor }) => !expertOfStack(name) && (transposed || tensor.shape.length !== 2))
    .map(({ name, transposed, tensor }) => [name, { shape: tensor.shape, transposed }] as const);
  const stacks = expertStacks(chosen).map(({ name, shape, transposed }) => [name, { shape, transposed }] as const);
  return new Map([
    // Loaders of the Hugging Face libraries refuse a file without it.
    ['format', 'pt'],
    ...ownMetadata(checkpoint),
    [KEYS.format, FORMAT],
    [KEYS.source, basename(checkpoint.path)],
    [KEYS.factors, String(plan.request.factors)],
    ...(style === 'rankscope' ? [] : [[KEYS.style, style] as const]),
    [KEYS.request, JSON.stringify(plan.request)],
    [KEYS.ranks, JSON.stringify(Object.fromEntries(chosen.map(({ matrix, rank }) => [matrix.name, rank])))],
    ...(stored.length > 0 ? [[KEYS.stored, JSON.stringify(Object.fromEntries(stored))] as const] : []),
    ...(stacks.length > 0 ? [[KEYS.stacks, JSON.stringify(Object.fromEntries(stacks))] as const] : []),
    ...(ties.length > 0 ? [[KEYS.ties, JSON.stringify(Object.fromEntries(ties))] as const] : []),
    ...(changed.length > 0 ? [[KEYS.types, JSON.stringify(Object.fromEntries(changed))] as const] : []),
  ]);
}

/** The name of the factor A of a matrix, of two. */
export function sharedFactorName({ name }: StoredMatrix): string {
  return `${moduleOfWeight(name)}.lowrank_a.weight`;
}

/** What a file with W' in place of each planned W says: its own metadata, and what was truncated. */
export function truncatedMetadata(checkpoint: Checkpoint, plan: Plan, chosen: readonly Chosen[]): Map<string, string> {
  return new Map([
    ['format', 'pt'],
    ...ownMetadata(checkpoint),
    [KEYS.format, TRUNCATED],
    [KEYS.source, basename(checkpoint.path)],
    [KEYS.request, JSON.stringify(plan.request)],
    [KEYS.ranks, JSON.stringify(Object.fromEntries(chosen.map(({ matrix, rank }) => [matrix.name, rank])))],
  ]);
}

/** What each file of a folder says; its config.json has the ranks. */
export function folderMetadata(isDense: boolean, factors: 2 | 3): Map<string, string> {
  const form = [KEYS.format, isDense ? TRUNCATED : FORMAT] as const;
  return new Map([['format', 'pt'], form, ...(isDense ? [] : [[KEYS.factors, String(factors)] as const])]);
}
