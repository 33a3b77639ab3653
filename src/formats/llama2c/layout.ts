import { elementCount } from '../../base/shape.ts';
import { MAX_LLAMA2C_LAYERS, MAX_LLAMA2C_SIZE } from '../../bytes/limits.ts';

/** The header of a llama2.c file. */
export interface Llama2c {
  /** 0: the original, without a magic number. 1: with a header of 256 bytes. 2: as 1, with matrices in 8 bits. */
  readonly version: 0 | 1 | 2;
  readonly dim: number;
  readonly hiddenDim: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  readonly maxLength: number;
  /** Whether the output matrix is tied to the embedding. */
  readonly sharedClassifier: boolean;
  /** How many consecutive values share a scale in version 2; 1 in the others. */
  readonly groupSize: number;
}

export interface Layout {
  readonly tensors: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly offset: number;
    readonly bytes: number;
    /** Whether the values are 8-bit integers, followed by an f32 scale for each group of them. */
    readonly grouped: boolean;
  }[];
  /** The size that the file must have, in bytes. */
  readonly end: number;
}

const MAGIC = 0x616b3432;

/** Parses the header; undefined if its numbers cannot describe a model. */
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
  // Version 0 marks an untied output matrix by a negative vocabulary size.
  const sharedClassifier = version > 0 ? head[36] === 1 : signedVocabulary > 0;
  const groupSize = version === 2 ? view.getInt32(37, true) : 1;
  const vocabulary = version === 0 ? Math.abs(signedVocabulary) : signedVocabulary;
  const sizes = [dim, hiddenDim, layers, heads, kvHeads, vocabulary, maxLength];
  if (
    !sizes.every((size) => size > 0 && size <= MAX_LLAMA2C_SIZE) ||
    layers > MAX_LLAMA2C_LAYERS ||
    dim % heads !== 0 ||
    heads % kvHeads !== 0 ||
    groupSize < 1 ||
    dim % groupSize !== 0
  )
    return undefined;
  return { version, dim, hiddenDim, layers, heads, kvHeads, vocabulary, maxLength, sharedClassifier, groupSize };
}

/** Where each matrix is. The file is ordered by kind, and within a kind by layer. */
export function layoutOf(header: Llama2c): Layout {
  const { version, dim, hiddenDim, layers, heads, kvHeads, vocabulary, maxLength, sharedClassifier, groupSize } =
    header;
  const kvDim = (dim * kvHeads) / heads;
  const tensors: Layout['tensors'][number][] = [];
  let offset = version === 0 ? 28 : 256;
  const add = (name: string, ...shape: number[]) => {
    const count = elementCount(shape);
    const grouped = version === 2 && shape.length > 1;
    const bytes = grouped ? count : 4 * count;
    tensors.push({ name, shape, offset, bytes, grouped });
    offset += grouped ? count + 4 * (count / groupSize) : bytes;
  };
  const addLayers = (name: string, ...shape: number[]) => {
    for (let layer = 0; layer < layers; layer++) add(`layers.${layer}.${name}.weight`, ...shape);
  };
  const embedding = () => add('tok_embeddings.weight', vocabulary, dim);
  const attention = () => {
    addLayers('attention.wq', dim, dim);
    addLayers('attention.wk', kvDim, dim);
    addLayers('attention.wv', kvDim, dim);
    addLayers('attention.wo', dim, dim);
  };
  const feedForward = () => {
    addLayers('feed_forward.w1', hiddenDim, dim);
    addLayers('feed_forward.w2', dim, hiddenDim);
    addLayers('feed_forward.w3', hiddenDim, dim);
  };
  if (version === 0) {
    embedding();
    addLayers('attention_norm', dim);
    attention();
    addLayers('ffn_norm', dim);
    feedForward();
    add('norm.weight', dim);
    // The rotary embedding's tables of cosines and sines are not weights.
    offset += 4 * maxLength * (dim / heads);
  } else {
    addLayers('attention_norm', dim);
    addLayers('ffn_norm', dim);
    add('norm.weight', dim);
    embedding();
    attention();
    feedForward();
  }
  if (!sharedClassifier) add('output.weight', vocabulary, dim);
  return { tensors, end: offset };
}
