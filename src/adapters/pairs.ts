import { elementCount } from '../base/shape.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import { type AdapterNaming, type AdapterPart, adapterName, otherKind } from './names.ts';
import { isWhole, type Operand, type StoredUpdate, sizesOf, type TwoFactors } from './parts.ts';

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
  for (const { target, adapter, parts } of modules.values()) {
    const { alpha, magnitude, ...factors } = parts;
    const involved = Object.values(factors);
    // An alpha or a magnitude alone does not make an adapter: other models have such names too.
    if (involved.length === 0) continue;
    const found = storedUpdate(parts);
    if (typeof found === 'string') {
      refused.push({ target, tensors: involved, reason: found });
      continue;
    }
    pairs.push({
      target,
      // PEFT calls a lone adapter `default`.
      ...(adapter !== undefined && (severalNames || adapter !== 'default') ? { adapter } : {}),
      stored: found,
      ...measured(found),
      ...(alpha ? { alpha } : {}),
      ...(magnitude ? { magnitude } : {}),
    });
  }
  for (const tensor of tensors) {
    const kind = otherKind(tensor.name);
    if (kind)
      refused.push({ target: tensor.name, tensors: [tensor], reason: `a part of ${kind}: not a product of factors` });
  }
  const naming = [...modules.values()].find(({ naming }) => naming !== undefined)?.naming;
  return pairs.length + refused.length === 0 ? undefined : { naming: naming ?? 'peft', pairs, refused };
}

type Parts = Partial<Record<AdapterPart, Tensor>>;

interface Module {
  readonly target: string;
  readonly adapter: string | undefined;
  /** The naming of its factors; an alpha occurs in any naming. */
  naming: AdapterNaming | undefined;
  readonly parts: Parts;
}

function modulesOf(tensors: readonly Tensor[]): Map<string, Module> {
  const modules = new Map<string, Module>();
  for (const tensor of tensors) {
    const found = adapterName(tensor.name);
    if (!found) continue;
    const { target, adapter, part, naming } = found;
    const key = JSON.stringify([target, adapter]);
    const module = modules.get(key) ?? { target, adapter, naming: undefined, parts: {} };
    module.parts[part] ??= tensor;
    if (part !== 'alpha') module.naming ??= naming;
    modules.set(key, module);
  }
  return modules;
}

/** The update that the parts of one layer form, or the reason why they form none. */
function storedUpdate(parts: Parts): StoredUpdate | string {
  const { up, down, mid, singular, embeddingUp, embeddingDown } = parts;
  if (up || down || mid || singular) {
    const product = twoFactors(up, down, mid, false, ['B (up)', 'A (down)'], singular);
    return typeof product === 'string' ? product : { kind: 'lora', product, embedding: false };
  }
  if (embeddingUp || embeddingDown) {
    const product = twoFactors(embeddingUp, embeddingDown, undefined, false, ['B', 'A']);
    return typeof product === 'string' ? product : { kind: 'lora', product, embedding: true };
  }
  if (parts.lokr_w1 || parts.lokr_w2 || parts.lokr_w1_a || parts.lokr_w2_a || parts.lokr_w1_b || parts.lokr_w2_b) {
    const first = operand(parts.lokr_w1, parts.lokr_w1_a, parts.lokr_w1_b, parts.lokr_t1, 'lokr_w1');
    const second = operand(parts.lokr_w2, parts.lokr_w2_a, parts.lokr_w2_b, parts.lokr_t2, 'lokr_w2');
    if (typeof first === 'string') return first;
    return typeof second === 'string' ? second : { kind: 'lokr', first, second };
  }
  const factor = (k: 1 | 2) =>
    twoFactors(parts[`hada_w${k}_a`], parts[`hada_w${k}_b`], parts[`hada_t${k}`], true, [
      `hada_w${k}_a`,
      `hada_w${k}_b`,
    ]);
  const [first, second] = [factor(1), factor(2)];
  if (typeof first === 'string') return first;
  if (typeof second === 'string') return second;
  const [one, other] = [sizesOf(first), sizesOf(second)];
  if (one.outputs !== other.outputs || one.inputs !== other.inputs)
    return `its two products have different shapes: ${one.outputs} x ${one.inputs} and ${other.outputs} x ${other.inputs}`;
  return { kind: 'loha', first, second };
}

function operand(
  whole: Tensor | undefined,
  up: Tensor | undefined,
  down: Tensor | undefined,
  core: Tensor | undefined,
  name: string,
): Operand | string {
  if (!whole) return twoFactors(up, down, core, true, [`${name}_a`, `${name}_b`]);
  return whole.shape.length < 2 || whole.shape.includes(0)
    ? `its ${name} is not a matrix: ${shapeText(whole)}`
    : { whole };
}

/** @param transposedWithCore LyCORIS stores `up` beside a core as r x m. */
function twoFactors(
  up: Tensor | undefined,
  down: Tensor | undefined,
  core: Tensor | undefined,
  transposedWithCore: boolean,
  names: readonly [up: string, down: string],
  singular?: Tensor,
): TwoFactors | string {
  if (!up || !down) return `half of the pair is missing: there is no ${!up ? names[0] : names[1]}`;
  for (const [name, tensor] of [[names[0], up] as const, [names[1], down] as const])
    if (tensor.shape.length < 2 || tensor.shape.includes(0)) return `its ${name} is not a matrix: ${shapeText(tensor)}`;
  const upIsTransposed = core !== undefined && transposedWithCore;
  const rank = up.shape[upIsTransposed ? 0 : 1]!;
  const product = {
    up,
    down,
    upIsTransposed,
    ...(core ? { core } : {}),
    ...(singular ? { singular } : {}),
  };
  if (up.shape.slice(2).some((size) => size !== 1))
    return `its ${names[0]} is a kernel (${shapeText(up)}): the update is not a product of two matrices`;
  const [coreUp, coreDown, ...kernel] = core?.shape ?? [rank, rank];
  if (core && (kernel.length === 0 || kernel.includes(0) || down.shape.slice(2).some((size) => size !== 1)))
    return `its core ${shapeText(core)} does not fit between ${shapeText(up)} and ${shapeText(down)}`;
  if (rank !== coreUp || coreDown !== down.shape[0])
    return `the ranks of its factors differ: ${names[0]} is ${shapeText(up)}, ${names[1]} ${shapeText(down)}${core ? `, the core ${shapeText(core)}` : ''}`;
  if (singular && elementCount(singular.shape) !== rank) return `its E is ${shapeText(singular)} for rank ${rank}`;
  return product;
}

const shapeText = ({ shape }: Tensor) => shape.join(' x ') || 'a single number';

function measured(stored: StoredUpdate): Pick<AdapterPair, 'shape' | 'rank' | 'factorRank'> {
  if (stored.kind === 'lora') {
    const { outputs, inputs, rank } = sizesOf(stored.product);
    // An embedding table is the transpose: it has a row for each token.
    return { shape: stored.embedding ? [inputs, outputs] : [outputs, inputs], rank, factorRank: rank };
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
