import {
  type BlockDecoder,
  decodeIq4Nl,
  decodeMxfp4,
  decodeNvfp4,
  decodeQ1_0,
  decodeQ2_0,
  decodeQ4_0,
  decodeQ4_1,
  decodeQ5_0,
  decodeQ5_1,
  decodeQ8_0,
  decodeQ8_1,
} from './blocks.ts';
import {
  decodeIq1M,
  decodeIq1S,
  decodeIq2S,
  decodeIq2Xs,
  decodeIq2Xxs,
  decodeIq3S,
  decodeIq3Xxs,
} from './codebookBlocks.ts';
import {
  decodeIq4Xs,
  decodeQ2_K,
  decodeQ3_K,
  decodeQ4_K,
  decodeQ5_K,
  decodeQ6_K,
  decodeQ8_K,
  decodeTq1_0,
  decodeTq2_0,
} from './superBlocks.ts';

/** How a ggml type stores numbers. */
export interface GgmlType {
  readonly name: string;
  /** Values in a block. */
  readonly values: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /** Absent for plain numbers, which `decode.ts` decodes by the same name. */
  readonly decode?: BlockDecoder;
}

const plain = (name: string, bytes: number): GgmlType => ({ name, values: 1, bytes });
const blocks = (name: string, values: number, bytes: number, decode: BlockDecoder): GgmlType => ({
  name,
  values,
  bytes,
  decode,
});

/**
 * By ggml's type number (enum ggml_type). Missing numbers were withdrawn and occur in no readable file.
 */
export const GGML_TYPES: ReadonlyMap<number, GgmlType> = new Map([
  [0, plain('F32', 4)],
  [1, plain('F16', 2)],
  [2, blocks('Q4_0', 32, 18, decodeQ4_0)],
  [3, blocks('Q4_1', 32, 20, decodeQ4_1)],
  [6, blocks('Q5_0', 32, 22, decodeQ5_0)],
  [7, blocks('Q5_1', 32, 24, decodeQ5_1)],
  [8, blocks('Q8_0', 32, 34, decodeQ8_0)],
  [9, blocks('Q8_1', 32, 36, decodeQ8_1)],
  [10, blocks('Q2_K', 256, 84, decodeQ2_K)],
  [11, blocks('Q3_K', 256, 110, decodeQ3_K)],
  [12, blocks('Q4_K', 256, 144, decodeQ4_K)],
  [13, blocks('Q5_K', 256, 176, decodeQ5_K)],
  [14, blocks('Q6_K', 256, 210, decodeQ6_K)],
  [15, blocks('Q8_K', 256, 292, decodeQ8_K)],
  [16, blocks('IQ2_XXS', 256, 66, decodeIq2Xxs)],
  [17, blocks('IQ2_XS', 256, 74, decodeIq2Xs)],
  [18, blocks('IQ3_XXS', 256, 98, decodeIq3Xxs)],
  [19, blocks('IQ1_S', 256, 50, decodeIq1S)],
  [20, blocks('IQ4_NL', 32, 18, decodeIq4Nl)],
  [21, blocks('IQ3_S', 256, 110, decodeIq3S)],
  [22, blocks('IQ2_S', 256, 82, decodeIq2S)],
  [23, blocks('IQ4_XS', 256, 136, decodeIq4Xs)],
  [24, plain('I8', 1)],
  [25, plain('I16', 2)],
  [26, plain('I32', 4)],
  [27, plain('I64', 8)],
  [28, plain('F64', 8)],
  [29, blocks('IQ1_M', 256, 56, decodeIq1M)],
  [30, plain('BF16', 2)],
  [34, blocks('TQ1_0', 256, 54, decodeTq1_0)],
  [35, blocks('TQ2_0', 256, 66, decodeTq2_0)],
  [39, blocks('MXFP4', 32, 17, decodeMxfp4)],
  [40, blocks('NVFP4', 64, 36, decodeNvfp4)],
  [41, blocks('Q1_0', 128, 18, decodeQ1_0)],
  [42, blocks('Q2_0', 64, 18, decodeQ2_0)],
]);
