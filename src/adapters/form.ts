import { elementCount } from '../base/shape.ts';
import { type Tensor, valuesOf } from '../checkpoint/tensor.ts';
import { type Factor, factorOf, transposedFactor } from './factor.ts';
import type { AdapterNaming, AdapterPart } from './names.ts';
import { type Operand, type StoredUpdate, sizesOf, type TwoFactors, widthOf } from './parts.ts';

export type Parts = Partial<Record<AdapterPart, Tensor>>;

/** The update of one layer, or those of a stack of layers that share their tensors. */
export type Form = StoredUpdate | { readonly stack: readonly TwoFactors[] };

/** Models have a few hundred; each becomes a matrix of its own. */
export const MOST_EXPERTS = 4096;

interface FormContext {
  readonly target: string;
  readonly naming: AdapterNaming;
}

/** The update that the parts of one layer form, or the reason why they form none. */
export function formUpdate(parts: Parts, context: FormContext): Form | string {
  const { up, down, mid, singular, embeddingUp, embeddingDown, full } = parts;
  if (up || down || mid || singular) {
    const names = ['B (up)', 'A (down)'] as const;
    const stack = up && down && stackOf(up, down, context);
    if (stack) return stack;
    const product = twoFactors(up, down, { names, core: mid, singular, ...orientation(up, down, context) });
    return typeof product === 'string' ? product : { kind: 'lora', product };
  }
  if (embeddingUp || embeddingDown) {
    // An embedding table is the transpose: it has a row for each token.
    const product = twoFactors(embeddingUp, embeddingDown, { names: ['B', 'A'] });
    if (typeof product === 'string') return product;
    return { kind: 'lora', product: { up: transposedFactor(product.down), down: transposedFactor(product.up) } };
  }
  if (parts.lokr_w1 || parts.lokr_w2 || parts.lokr_w1_a || parts.lokr_w2_a || parts.lokr_w1_b || parts.lokr_w2_b) {
    const first = operand(parts.lokr_w1, parts.lokr_w1_a, parts.lokr_w1_b, parts.lokr_t1, 'lokr_w1');
    const second = operand(parts.lokr_w2, parts.lokr_w2_a, parts.lokr_w2_b, parts.lokr_t2, 'lokr_w2');
    if (typeof first === 'string') return first;
    return typeof second === 'string' ? second : { kind: 'lokr', first, second };
  }
  return full ? fullUpdate(full) : hadamard(parts);
}

function hadamard(parts: Parts): StoredUpdate | string {
  const factor = (k: 1 | 2) =>
    twoFactors(parts[`hada_w${k}_a`], parts[`hada_w${k}_b`], {
      names: [`hada_w${k}_a`, `hada_w${k}_b`],
      core: parts[`hada_t${k}`],
      upIsTransposed: parts[`hada_t${k}`] !== undefined,
    });
  const [first, second] = [factor(1), factor(2)];
  if (typeof first === 'string') return first;
  if (typeof second === 'string') return second;
  const [one, other] = [sizesOf(first), sizesOf(second)];
  if (one.outputs !== other.outputs || one.inputs !== other.inputs)
    return `its two products have different shapes: ${one.outputs} x ${one.inputs} and ${other.outputs} x ${other.inputs}`;
  return { kind: 'loha', first, second };
}

/** LyCORIS's "full" and ComfyUI's `diff`: the update itself. */
function fullUpdate(tensor: Tensor): StoredUpdate | string {
  if (tensor.shape.includes(0)) return `its diff is empty: ${shapeText(tensor)}`;
  if (isPacked(tensor)) return packed('diff', tensor);
  const [outputs, inputs] = [tensor.shape[0]!, widthOf(tensor)];
  return {
    kind: 'computed',
    method: 'full',
    tensors: [tensor],
    outputs,
    inputs,
    rank: Math.min(outputs, inputs),
    settings: [],
    load: { matrix: (signal) => valuesOf(tensor, signal) },
  };
}

function operand(
  whole: Tensor | undefined,
  up: Tensor | undefined,
  down: Tensor | undefined,
  core: Tensor | undefined,
  name: string,
): Operand | string {
  // LyCORIS stores `up` beside a core as r x m.
  if (!whole)
    return twoFactors(up, down, { names: [`${name}_a`, `${name}_b`], core, upIsTransposed: core !== undefined });
  if (isPacked(whole)) return packed(name, whole);
  return whole.shape.length < 2 || whole.shape.includes(0)
    ? `its ${name} is not a matrix: ${shapeText(whole)}`
    : { whole };
}

interface FactorOptions extends Orientation {
  readonly names: readonly [up: string, down: string];
  readonly core?: Tensor | undefined;
  readonly singular?: Tensor | undefined;
}

function twoFactors(
  up: Tensor | undefined,
  down: Tensor | undefined,
  { names, core, singular, upIsTransposed, downIsTransposed, swapped }: FactorOptions,
): TwoFactors | string {
  if (!up || !down) return `half of the pair is missing: there is no ${!up ? names[0] : names[1]}`;
  for (const [name, tensor] of [[names[0], up] as const, [names[1], down] as const]) {
    if (tensor.shape.length < 2 || tensor.shape.includes(0)) return `its ${name} is not a matrix: ${shapeText(tensor)}`;
    if (isPacked(tensor)) return packed(name, tensor);
  }
  if (up.shape.slice(2).some((size) => size !== 1))
    return `its ${names[0]} is a kernel (${shapeText(up)}): the update is not a product of two matrices`;
  const left = upIsTransposed ? transposedFactor(factorOf(up)) : factorOf(up);
  const right = downIsTransposed ? transposedFactor(factorOf(down)) : factorOf(down);
  const [coreUp, coreDown, ...kernel] = core?.shape ?? [left.cols, left.cols];
  if (core && (kernel.length === 0 || kernel.includes(0) || down.shape.slice(2).some((size) => size !== 1)))
    return `its core ${shapeText(core)} does not fit between ${shapeText(up)} and ${shapeText(down)}`;
  if (left.cols !== coreUp || coreDown !== right.rows)
    return `the ranks of its factors differ: ${names[0]} is ${shapeText(up)}, ${names[1]} ${shapeText(down)}${core ? `, the core ${shapeText(core)}` : ''}`;
  if (singular && elementCount(singular.shape) !== left.cols)
    return `its E is ${shapeText(singular)} for rank ${left.cols}`;
  const product = { up: left, down: right, ...(core ? { core } : {}), ...(singular ? { singular } : {}) };
  return swapped ? { ...product, up: transposedFactor(right), down: transposedFactor(left) } : product;
}

interface Orientation {
  readonly upIsTransposed?: boolean;
  readonly downIsTransposed?: boolean;
  /** The table of an embedding is A^T B^T instead of B A. */
  readonly swapped?: boolean;
}

const EMBEDDING = /(^|\.)(embed_tokens|tok_embeddings|word_embeddings|token_embd|embeddings?|wte|wpe)$/;

/**
 * How the factors lie in their tensors. mlx-lm computes x A B with A (in, r) and B (r, out), and a table of embeddings
 * is A B. llama.cpp stores the A of the token embedding as (tokens, r).
 */
function orientation(up: Tensor | undefined, down: Tensor | undefined, { target, naming }: FormContext): Orientation {
  const isTable = EMBEDDING.test(target);
  if (naming === 'gguf') return isTable ? { downIsTransposed: true, swapped: true } : {};
  if (naming !== 'mlx-lm' && naming !== 'mlx-vlm') return {};
  if (up?.shape[0] !== down?.shape[1]) return {};
  return { upIsTransposed: true, downIsTransposed: true, swapped: isTable };
}

/**
 * The factors of a stack of layers, (e, r, in) and (e, out, r), as mlx-lm and llama.cpp store those of experts;
 * torchtune has (e, in, r) and (e, r, out). Kernels have three sizes too, in other namings.
 */
function stackOf(up: Tensor, down: Tensor, { naming }: FormContext): Form | string | undefined {
  if (up.shape.length !== 3 || down.shape.length !== 3) return undefined;
  if (naming !== 'mlx-lm' && naming !== 'gguf' && naming !== 'torchtune') return undefined;
  const sizes = `B (up) is ${shapeText(up)}, A (down) ${shapeText(down)}`;
  if (up.shape.includes(0) || down.shape.includes(0)) return `its factors are empty: ${sizes}`;
  for (const tensor of [up, down]) if (isPacked(tensor)) return packed('factor', tensor);
  const [count, a, b] = up.shape as [number, number, number];
  const [shared, c, d] = down.shape as [number, number, number];
  if (count > MOST_EXPERTS) return `it has ${count} experts, more than the ${MOST_EXPERTS} supported`;
  if (shared !== count && shared !== 1) return `its factors are of different numbers of experts: ${sizes}`;
  const straight = b === c;
  if (!straight && a !== d) return `the ranks of its factors differ: ${sizes}`;
  return {
    stack: Array.from({ length: count }, (_, k) => {
      const left = sliceOf(up, k, a, b);
      const right = sliceOf(down, shared === 1 ? 0 : k, c, d);
      return straight ? { up: left, down: right } : { up: transposedFactor(left), down: transposedFactor(right) };
    }),
  };
}

function sliceOf(tensor: Tensor, index: number, rows: number, cols: number): Factor {
  return { tensor, rows, cols, offset: index * rows * cols, rowStep: cols, colStep: 1 };
}

const isPacked = ({ dtype }: Tensor) => /^[IU]\d+$|^BOOL$/.test(dtype);
const packed = (name: string, { dtype }: Tensor) =>
  `its ${name} is stored as integers (${dtype}), as that of a quantized adapter is: save it unquantized`;

export const shapeText = ({ shape }: Tensor) => shape.join(' x ') || 'a single number';
