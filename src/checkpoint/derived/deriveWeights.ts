import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { descriptionOf, type Tensor } from '../tensor.ts';
import { type Derivation, type DerivationRule, derivedTensor } from './derivedTensor.ts';
import { pruned } from './pruned.ts';
import { spectralNorm } from './spectralNorm.ts';
import { weightNorm } from './weightNorm.ts';

const RULES: readonly DerivationRule[] = [weightNorm, spectralNorm, pruned];

/** A checkpoint without such a name has only weights as its layers use them. */
const MAIN = /_v$|_orig$|(^|\.)parametrizations\.\w+\.original\d*$/;

/**
 * Returns the checkpoint with each weight that a layer computes from several stored tensors (weight norm, spectral
 * norm, pruning) in place of them. Parts of an unknown parametrization refuse to be read: the layer's
 * weight is something else.
 * Returns `base` itself if there are none.
 */
export function deriveWeights(base: Checkpoint): Checkpoint {
  if (!base.tensors.some(({ name }) => MAIN.test(name))) return base;
  const tensors = new Map(base.tensors.map((tensor) => [tensor.name, tensor]));
  const found = new Map<Tensor, Derivation>();
  for (const tensor of base.tensors) {
    const derivation = MAIN.test(tensor.name) ? RULES.map((rule) => rule(tensor, tensors)).find(Boolean) : undefined;
    if (derivation && !isChained(derivation, tensors)) found.set(tensor, derivation);
  }
  const parts = new Set([...found.values()].flatMap(({ parts }) => parts));
  const unknown = new Set(base.tensors.filter((tensor) => !parts.has(tensor) && PARAMETRIZED.test(tensor.name)));
  if (found.size === 0 && unknown.size === 0) return base;
  const kept = base.tensors.flatMap((tensor): Tensor[] => {
    const derivation = found.get(tensor);
    if (derivation) return [derivedTensor(derivation)];
    if (parts.has(tensor)) return [];
    return [unknown.has(tensor) ? refused(tensor) : tensor];
  });
  return { ...base, tensors: kept, warnings: [...base.warnings, ...remarks([...found.values()])] };
}

const PARAMETRIZED = /(^|\.)parametrizations\.\w+\.original\d*$/;

/** Whether another parametrization follows, such as a second one on the same weight. */
function isChained({ parts: [main] }: Derivation, tensors: ReadonlyMap<string, Tensor>): boolean {
  const path = /^(.*parametrizations\.\w+\.)original\d*$/.exec(main.name)?.[1];
  return path !== undefined && ['_u', '_v', 'base'].some((part) => tensors.has(`${path}1.${part}`));
}

function remarks(found: readonly Derivation[]): string[] {
  const counts = new Map<string, number>();
  for (const { by } of found) counts.set(by, (counts.get(by) ?? 0) + 1);
  return [...counts].map(
    ([by, count]) => `${count} weights are stored in parts (${by}); they are shown as their layers compute them.`,
  );
}

/** The stored part of a weight that is computed in an unknown way. It can be copied. */
function refused(tensor: Tensor): Tensor {
  return {
    ...descriptionOf(tensor),
    refused: 'a weight is computed from it by a parametrization that the file does not name',
    async read() {
      throw new RankscopeError(
        'unsupported',
        tensor.name,
        'the weight of this layer is computed from it by a parametrization that the file does not name',
        'Save the model after torch.nn.utils.parametrize.remove_parametrizations',
      );
    },
    ...(tensor.readStored && { readStored: (offset, out, signal) => tensor.readStored!(offset, out, signal) }),
  };
}
