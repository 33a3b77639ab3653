import type { Backend } from '../../devices/backend.ts';
import type { BlockLinear, BlockNorm, ExpertModules } from '../configuration/architectures.ts';
import type { FeedForward } from '../operations/feedForward.ts';
import type { Linear } from '../operations/linear.ts';
import type { Norm } from '../operations/norm.ts';
import { freeLinear } from './deviceLinear.ts';
import type { StoredLinear } from './weights.ts';

/** The weights of one block: matrices in device memory, vectors beside it. */
export interface Block {
  readonly norms: Readonly<Partial<Record<BlockNorm, Norm>>>;
  readonly linears: Readonly<Partial<Record<BlockLinear, Linear>>>;
  /** Those that stay in device memory with the block. */
  readonly experts: readonly FeedForward[];
  /** All experts, which need not be in device memory at the same time. */
  readonly storedExperts: readonly StoredExpert[];
  /** What the weight of the shared expert is computed with. */
  readonly sharedWeight: Float32Array | undefined;
}

export type StoredExpert = Readonly<
  Partial<Record<Exclude<keyof ExpertModules, 'down'>, StoredModule>> & Record<'down', StoredModule>
>;

/** A layer that is not read yet. */
export interface StoredModule {
  readonly name: string;
  readonly stored: StoredLinear;
  readonly bias: Float32Array | undefined;
}

/** The block with some of its layers replaced; the others are shared. */
export function withReplaced(block: Block, replace: (layer: Linear) => Linear): Block {
  const of = <Parts extends object>(parts: Parts): Parts =>
    Object.fromEntries(
      Object.entries(parts).map(([part, layer]) => [part, layer && replace(layer as Linear)]),
    ) as Parts;
  return { ...block, linears: of(block.linears), experts: block.experts.map(of) };
}

export function linearsOf({ linears, experts }: Block): Linear[] {
  return [linears, ...experts].flatMap((parts): Linear[] =>
    Object.values(parts).filter((layer) => layer !== undefined),
  );
}

export function freeBlock(backend: Backend, block: Block): void {
  for (const layer of linearsOf(block)) freeLinear(backend, layer);
}
