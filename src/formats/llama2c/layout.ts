import { elementCount } from '../../base/shape.ts';
/** The header of a llama2.c file. */
export interface Llama2c {
  /** 0: the first, without a magic number. 1: with a header of 256 bytes. 2: with matrices of 8 bits. */
  readonly version: 0 | 1 | 2;
  readonly dim: number;
  readonly hiddenDim: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  readonly maxLength: number;
  /** Whether the head is the embedding. */
  readonly sharedClassifier: boolean;
  /** Of version 2: how many numbers have a scale together. */
  readonly groupSize: number;
}

export interface Layout {
  readonly tensors: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly offset: number;
    readonly bytes: number;
    /** Whether these are whole numbers of 8 bits, with a scale for each group of them behind the last. */
    readonly grouped: boolean;
  }[];
  /** Where the file must end. */
  readonly end: number;
}

const MAGIC = 0x616b3432;

/** Undefined where the numbers cannot be those of a model. */
export function readLlama2c(head: Uint8Array): Llama2c | undefined {
  if (head.length < 64) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const written = view.getUint32(0, true) === MAGIC ? view.getInt32(4, true) : 0;
  if (written !== 0 && written !== 1 && written !== 2) return undefined;
  const version = written;
  const numbers = Array.from({ length: 7 }, (_, i) => view.getInt32((version > 0 ? 8 : 0) + 4 * i, true));
  const [dim, hiddenDim, layers, heads, kvHeads, signedVocabulary, maxLength] = numbers as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  // The first version marks a head of its own by a negative vocabulary size.
  const sharedClassifier = version > 0 ? head[36] === 1 : signedVocabulary > 0;
  const groupSize = version === 2 ? view.getInt32(37, true) : 1;
  const vocabulary = version === 0 ? Math.abs(signedVocabulary) : signedVocabulary;
  const sizes = [dim, hiddenDim, layers, heads, kvHeads, vocabulary, maxLength];
  if (
    !sizes.every((size) => size > 0 && size < 1 << 24) ||
    layers > 10_000 ||
    dim % heads !== 0 ||
    heads % kvHeads !== 0 ||
    groupSize < 1 ||
    dim % groupSize !== 0
  )
    return undefined;
  return { version, dim, hiddenDim, layers, heads, kvHeads, vocabulary, maxLength, sharedClassifier, groupSize };
}

/** Where each matrix is: kinds one after the other, each with all its layers. */
export function layoutOf(header: Llama2c): Layout {
  const { version, dim, hiddenDim, layers, heads, kvHeads, vocabulary, maxLength, sharedClassifier, groupSize } =
    header;
  const kvDim = (dim * kvHeads) / heads;
  const tensors: Layout['tensors'][number][] = [];
  let offset = version === 0 ? 28 : 256;
  const one = (name: string, ...shape: number[]) => {
    const count = elementCount(shape);
    const grouped = version === 2 && shape.length > 1;
    const bytes = grouped ? count : 4 * count;
    tensors.push({ name, shape, offset, bytes, grouped });
    offset += grouped ? count + 4 * (count / groupSize) : bytes;
  };
  const each = (name: string, ...shape: number[]) => {
    for (let layer = 0; layer < layers; layer++) one(`layers.${layer}.${name}.weight`, ...shape);
  };
  const embedding = () => one('tok_embeddings.weight', vocabulary, dim);
  const attention = () => {
    each('attention.wq', dim, dim);
    each('attention.wk', kvDim, dim);
    each('attention.wv', kvDim, dim);
    each('attention.wo', dim, dim);
  };
  const feedForward = () => {
    each('feed_forward.w1', hiddenDim, dim);
    each('feed_forward.w2', dim, hiddenDim);
    each('feed_forward.w3', hiddenDim, dim);
  };
  if (version === 0) {
    embedding();
    each('attention_norm', dim);
    attention();
    each('ffn_norm', dim);
    feedForward();
    one('norm.weight', dim);
    // Tables of the rotary embedding, which are no weights.
    offset += 4 * maxLength * (dim / heads);
  } else {
    each('attention_norm', dim);
    each('ffn_norm', dim);
    one('norm.weight', dim);
    embedding();
    attention();
    feedForward();
  }
  if (!sharedClassifier) one('output.weight', vocabulary, dim);
  return { tensors, end: offset };
}
