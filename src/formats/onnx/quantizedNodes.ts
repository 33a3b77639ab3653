/** A node that computes with weights stored as codes, with the names of its operands. */
export interface QuantizedNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly output: string;
  /** Its attributes as integers; 0 for those of other types. */
  readonly integers: ReadonlyMap<string, number>;
}

/** Which inputs of a node are the codes of a weight, their scales and their zero points. */
export interface Operand {
  readonly codes: number;
  /** Undefined where the node itself has none: they are then a constant whose name says so. */
  readonly scales: number | undefined;
  readonly zeros: number;
  /** The axis along which the scales of a row or column lie; 'axis' for the attribute of that name. */
  readonly axis: number | 'axis';
  /** Whether the weight is the right operand of a product, stored as (in, out). */
  readonly right?: boolean;
}

const right = (codes: number, scales: number | undefined, zeros: number): Operand => ({
  codes,
  scales,
  zeros,
  axis: -1,
  right: true,
});

/** Operators of ONNX and ONNX Runtime whose weights have scales for the tensor, along one axis, or for its blocks. */
const OPERANDS: ReadonlyMap<string, readonly Operand[]> = new Map<string, readonly Operand[]>([
  ['DequantizeLinear', [{ codes: 0, scales: 1, zeros: 2, axis: 'axis' }]],
  ['QLinearMatMul', [right(3, 4, 5)]],
  ['QLinearConv', [{ codes: 3, scales: 4, zeros: 5, axis: 0 }]],
  ['MatMulInteger', [right(1, undefined, 3)]],
  ['ConvInteger', [{ codes: 1, scales: undefined, zeros: 3, axis: 0 }]],
  ['MatMulIntegerToFloat', [right(1, 3, 5)]],
  ['DynamicQuantizeMatMul', [right(1, 2, 3)]],
  ['QAttention', [right(1, 4, 7)]],
  ['QGemm', [right(3, 4, 5)]],
  ['QEmbedLayerNormalization', [2, 3, 4, 5, 6].map((codes, k) => ({ codes, scales: 8 + k, zeros: 13 + k, axis: 0 }))],
]);

/** Operators whose weights are packed in blocks along their inputs, and those whose packing is not decoded. */
const PACKED = ['MatMulNBits', 'MatMulBnb4', 'GatherBlockQuantized'];
const UNDECODED: ReadonlyMap<string, readonly number[]> = new Map([
  ['QMoE', [2, 5, 8]],
  ['DynamicQuantizeLSTM', [1, 2]],
  ['MatMulFpQ4', [1]],
]);

export function isQuantizedOperator(operator: string): boolean {
  return OPERANDS.has(operator) || PACKED.includes(operator) || UNDECODED.has(operator);
}

/** The weights of a node that `affineWeight` decodes. */
export function operandsOf({ operator, integers }: QuantizedNode): readonly Operand[] {
  const operands = OPERANDS.get(operator) ?? [];
  return operator === 'QGemm' && integers.get('transB')
    ? operands.map((operand) => ({ ...operand, axis: 0, right: false }))
    : operands;
}

/** The inputs of a node that are weights in a packing that is not decoded. */
export function undecodedInputs({ operator }: QuantizedNode): readonly number[] {
  return UNDECODED.get(operator) ?? [];
}
