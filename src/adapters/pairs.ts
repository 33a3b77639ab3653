import type { Tensor } from '../checkpoint/tensor.ts';
import { type Form, formUpdate, type Parts } from './form.ts';
import { type AdapterNaming, nameReader } from './names.ts';
import { isWhole, type StoredUpdate, sizesOf } from './parts.ts';

/** What an adapter adds to one matrix: W + scale (the stored product). */
export interface AdapterPair {
  /** The adapted module as the adapter names it, without the prefix and suffix of its library. */
  readonly target: string;
  /** The adapter's name if the file holds several. */
  readonly adapter?: string;
  readonly stored: StoredUpdate;
  /** [m, n] of the product. */
  readonly shape: readonly [number, number];
  /** The rank that the product cannot exceed. */
  readonly rank: number;
  /** The r by which alpha is divided; undefined if only whole matrices are stored. */
  readonly factorRank: number | undefined;
  /** The alpha stored beside this pair (kohya), a scalar. */
  readonly alpha?: Tensor;
  /** DoRA's magnitudes, one for each output. */
  readonly magnitude?: Tensor;
  /** The stack of experts that the pair belongs to, and its place there. */
  readonly stack?: Stacked;
  /** The name that a configuration's patterns are matched with, if it is not `target`. */
  readonly parameter?: string;
}

/** One of the matrices that share their factors' tensors, such as the experts of a layer. */
export interface Stacked {
  readonly target: string;
  readonly index: number;
  readonly count: number;
}

/** A layer whose parts do not form a product, with the reason. */
export interface RefusedPair {
  readonly target: string;
  readonly tensors: readonly Tensor[];
  readonly reason: string;
}

export interface AdapterPairs {
  readonly naming: AdapterNaming;
  readonly pairs: readonly AdapterPair[];
  readonly refused: readonly RefusedPair[];
}

/**
 * The low-rank updates among `tensors`, recognized by the names that common libraries use; undefined if there are none.
 */
export function findAdapterPairs(tensors: readonly Tensor[]): AdapterPairs | undefined {
  const modules = modulesOf(tensors);
  const pairs: AdapterPair[] = [];
  const refused: RefusedPair[] = [];
  const severalNames = new Set([...modules.values()].map(({ adapter }) => adapter)).size > 1;
  for (const { target, adapter, parts, naming } of modules.values()) {
    const { alpha, magnitude, ...factors } = parts;
    const involved = Object.values(factors);
    // An alpha or a magnitude alone does not make an adapter: other models have such names too.
    if (involved.length === 0) continue;
    const found = formUpdate(parts, { target, naming: naming ?? 'peft' });
    if (typeof found === 'string') {
      refused.push({ target, tensors: involved, reason: found });
      continue;
    }
    const common = {
      // PEFT calls a lone adapter `default`; AdapterHub's names stand in every file.
      ...(adapter !== undefined && (severalNames || (adapter !== 'default' && naming !== 'adapterhub'))
        ? { adapter }
        : {}),
      ...(alpha ? { alpha } : {}),
      ...(magnitude ? { magnitude } : {}),
    };
    pairs.push(...pairsOf(target, found).map((pair) => ({ ...pair, ...common })));
  }
  const naming = [...modules.values()].find(({ naming }) => naming !== undefined)?.naming;
  return pairs.length + refused.length === 0 ? undefined : { naming: naming ?? 'peft', pairs, refused };
}

/** The pairs of one layer: one, or one for each matrix of a stack. */
export function pairsOf(target: string, form: Form): AdapterPair[] {
  if (!('stack' in form)) return [{ target, stored: form, ...measured(form) }];
  return form.stack.map((product, index) => {
    const stored: StoredUpdate = { kind: 'lora', product };
    return {
      target: `${target}[${index}]`,
      stored,
      ...measured(stored),
      stack: { target, index, count: form.stack.length },
    };
  });
}

interface Module {
  readonly target: string;
  readonly adapter: string | undefined;
  /** The naming of its factors; an alpha occurs in any naming. */
  naming: AdapterNaming | undefined;
  readonly parts: Parts;
}

function modulesOf(tensors: readonly Tensor[]): Map<string, Module> {
  const modules = new Map<string, Module>();
  const read = nameReader(tensors.map(({ name }) => name));
  for (const tensor of tensors) {
    const found = read(tensor.name);
    if (!found) continue;
    const { target, adapter, part, naming } = found;
    // A vector of this name is a change of a bias or a norm.
    if (part === 'full' && tensor.shape.length < 2) continue;
    const key = JSON.stringify([target, adapter]);
    const module = modules.get(key) ?? { target, adapter, naming: undefined, parts: {} };
    module.parts[part] ??= tensor;
    if (part !== 'alpha' && part !== 'magnitude') module.naming ??= naming;
    modules.set(key, module);
  }
  return modules;
}

function measured(stored: StoredUpdate): Pick<AdapterPair, 'shape' | 'rank' | 'factorRank'> {
  if (stored.kind === 'computed') {
    const { outputs, inputs, rank } = stored;
    return { shape: [outputs, inputs], rank, factorRank: undefined };
  }
  if (stored.kind === 'lora') {
    const { outputs, inputs, rank } = sizesOf(stored.product);
    return { shape: [outputs, inputs], rank, factorRank: rank };
  }
  const [first, second] = [sizesOf(stored.first), sizesOf(stored.second)];
  const rank = first.rank * second.rank;
  if (stored.kind === 'loha') {
    const { outputs, inputs } = first;
    return { shape: [outputs, inputs], rank: Math.min(rank, outputs, inputs), factorRank: first.rank };
  }
  // The second operand's rank takes precedence over the first's, as in LyCORIS and the loaders of its files.
  const factored = !isWhole(stored.second) ? second.rank : isWhole(stored.first) ? undefined : first.rank;
  return { shape: [first.outputs * second.outputs, first.inputs * second.inputs], rank, factorRank: factored };
}
