import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { packedTensor } from '../../checkpoint/quantized/packedTensor.ts';
import { descriptionOf, type Tensor } from '../../checkpoint/tensor.ts';
import { blocksOf, readAffine } from './affineWeight.ts';
import { type BlockWeight, bnb4Weight, nBitsWeight, type Operands } from './blockWeight.ts';
import { type Operand, operandsOf, type QuantizedNode, undecodedInputs } from './quantizedNodes.ts';

/** A weight that a node stores as codes: its values, or the reason why they are not decoded. */
interface Weight {
  readonly codes: Tensor;
  readonly tensor: Tensor;
  /** Tensors that mean nothing once it is decoded; empty if it is not. */
  readonly parts: readonly Tensor[];
  readonly isDecoded: boolean;
}

/**
 * The tensors with the weights of quantized nodes dequantized, under the names of their codes, without scales and zero
 * points; and remarks for users. Codes in a layout that is not decoded refuse to be read.
 */
export function dequantized(
  tensors: readonly Tensor[],
  nodes: readonly QuantizedNode[],
  rightOperands: ReadonlySet<string>,
): { tensors: readonly Tensor[]; remarks: string[] } {
  const byName = new Map<string, Tensor>();
  for (const tensor of tensors) if (!byName.has(tensor.name)) byName.set(tensor.name, tensor);
  const weights = new Map<Tensor, Weight>();
  const [decoded, refused] = [new Set<string>(), new Map<string, number>()];
  for (const node of nodes)
    for (const weight of weightsOf(node, byName, rightOperands)) {
      if (weights.has(weight.codes)) continue;
      weights.set(weight.codes, weight);
      if (weight.isDecoded) decoded.add(node.operator);
      else refused.set(node.operator, (refused.get(node.operator) ?? 0) + 1);
    }
  const kept = [...weights.values()].filter((weight) => !weight.isDecoded).flatMap(({ parts }) => parts);
  const hidden = new Set([...weights.values()].filter(({ isDecoded }) => isDecoded).flatMap(({ parts }) => parts));
  for (const tensor of kept) hidden.delete(tensor);
  const count = [...weights.values()].filter(({ isDecoded }) => isDecoded).length;
  const remarks = [...refused].map(
    ([operator, layers]) => `${layers} weights are quantized in an unsupported layout: that of ${operator}.`,
  );
  if (count > 0)
    remarks.unshift(`${count} tensors are stored quantized (${[...decoded].join(', ')}); they are shown dequantized.`);
  return {
    tensors: tensors.flatMap((tensor) => {
      const weight = weights.get(tensor);
      return weight ? [weight.tensor] : hidden.has(tensor) ? [] : [tensor];
    }),
    remarks,
  };
}

/** The weights of a node. Codes that are no constants are its inputs at run time. */
function* weightsOf(
  node: QuantizedNode,
  byName: ReadonlyMap<string, Tensor>,
  rightOperands: ReadonlySet<string>,
): Generator<Weight> {
  const constants = node.inputs.map((name) => byName.get(name));
  const isRight = rightOperands.has(node.output);
  for (const input of undecodedInputs(node)) {
    const codes = constants[input];
    if (codes) yield refusedWeight(codes, node.operator);
  }
  if (node.operator === 'MatMulNBits' || node.operator === 'MatMulBnb4') {
    const codes = constants[1];
    // A zero point or an order that is computed at run time cannot be known here.
    const complete = node.inputs.slice(2, 5).every((name, k) => name === '' || constants[k + 2] !== undefined);
    const read = node.operator === 'MatMulNBits' ? nBitsWeight : bnb4Weight;
    const weight = complete ? read(constants, node.integers) : undefined;
    if (codes) yield weight ? blockTensor(codes, weight) : refusedWeight(codes, node.operator);
  } else if (node.operator === 'GatherBlockQuantized') {
    if (constants[0]) yield gatheredWeight(node, constants) ?? refusedWeight(constants[0], node.operator);
  } else {
    for (const operand of operandsOf(node)) {
      const codes = constants[operand.codes];
      if (!codes) continue;
      yield operandWeight(node, operand, codes, byName, isRight) ?? refusedWeight(codes, node.operator);
    }
  }
}

function operandWeight(
  { inputs, integers }: QuantizedNode,
  { codes: at, scales: scalesAt, zeros: zerosAt, axis, right }: Operand,
  codes: Tensor,
  byName: ReadonlyMap<string, Tensor>,
  isRight: boolean,
): Weight | undefined {
  // ONNX Runtime's quantizer calls the parts of a weight w `w_quantized`, `w_scale` and `w_zero_point`.
  const scales = byName.get(
    scalesAt === undefined ? inputs[at]!.replace(/(_quantized)?$/, '_scale') : (inputs[scalesAt] ?? ''),
  );
  const zerosName = inputs[zerosAt] ?? '';
  const zeros = byName.get(zerosName);
  if (!scales || (zerosName !== '' && !zeros)) return undefined;
  const along = axis === 'axis' ? (integers.get('axis') ?? 1) : axis;
  const blocks = blocksOf(codes.shape, scales.shape, along, integers.get('block_size') ?? 0);
  if (!blocks || (zeros && elementCount(zeros.shape) !== elementCount(scales.shape))) return undefined;
  const isMatrix = codes.shape.length === 2;
  const transposed = isMatrix && (right || isRight) ? true : codes.transposed;
  return affineTensor(codes, transposed, { codes, shape: codes.shape, scales, zeros, zero: 0, ...blocks });
}

/** The table of GatherBlockQuantized: rows of packed codes in bytes, or numbers of a type of their own. */
function gatheredWeight({ integers, inputs }: QuantizedNode, [codes, , scales, zeros]: Operands): Weight | undefined {
  const bits = integers.get('bits') || 4;
  if (!codes || !scales || (inputs[3] && !zeros)) return undefined;
  const isPacked = codes.dtype === 'U8' && bits < 8;
  if (isPacked && ![2, 4].includes(bits)) return undefined;
  const unpacked = (tensor: Tensor, cols: number) => (isPacked ? unpackedTensor(tensor, bits as 2 | 4, cols) : tensor);
  const shape = isPacked ? [...codes.shape.slice(0, -1), (codes.shape.at(-1)! * 8) / bits] : codes.shape;
  const blockSize = integers.get('block_size') ?? 128;
  const axis = integers.get('quantize_axis') ?? 1;
  const at = axis < 0 ? axis + shape.length : axis;
  const blocks = blocksOf(shape, scales.shape, axis, blockSize || (shape[at] ?? 0));
  const zeroPoints = zeros && unpacked(zeros, scales.shape.at(-1) ?? 1);
  if (!blocks || (zeroPoints && elementCount(zeroPoints.shape) !== elementCount(scales.shape))) return undefined;
  const layout = { shape, scales, zeros: zeroPoints, zero: codes.dtype === 'U8' ? 2 ** (bits - 1) : 0, ...blocks };
  const weight = affineTensor(codes, codes.transposed, { codes: unpacked(codes, shape.at(-1)!), ...layout });
  return { ...weight, parts: [scales, ...(zeros ? [zeros] : [])] };
}

function affineTensor(
  codes: Tensor,
  transposed: boolean | undefined,
  layout: Parameters<typeof readAffine>[0],
): Weight {
  const { shape, scales, zeros } = layout;
  const { transposed: _, ...description } = descriptionOf(codes);
  const parts = [scales, ...(zeros ? [zeros] : [])];
  const tensor: Tensor = {
    ...description,
    shape,
    dtype: `F32 (${codes.dtype})`,
    storage: `${codes.storage} ${parts.map(({ storage }) => storage).join(' ')}`,
    ...(transposed === undefined ? {} : { transposed }),
    read(start, out, signal) {
      if (!(start >= 0 && start + out.length <= elementCount(shape)))
        throw new RankscopeError('wrong-use', codes.name, `elements ${start} to ${start + out.length} were asked for`);
      return readAffine(layout, start, out, signal);
    },
  };
  return { codes, tensor, parts, isDecoded: true };
}

function blockTensor(codes: Tensor, { shape, bits, parts, decodeRows }: BlockWeight): Weight {
  const { name } = codes;
  const tensor = packedTensor(codes, { name, shape, dtype: `F32 (U${bits})`, parts, transposed: false, decodeRows });
  return { codes, tensor, parts: parts.slice(1), isDecoded: true };
}

/** Codes of 2 or 4 bits in bytes, as a tensor with `cols` elements in a row, whose last byte may be partial. */
function unpackedTensor(bytes: Tensor, bits: 2 | 4, cols: number): Tensor {
  const perByte = 8 / bits;
  const rowBytes = bytes.shape.at(-1)!;
  const shape = [...bytes.shape.slice(0, -1), cols];
  return {
    ...descriptionOf(bytes),
    shape,
    async read(start, out, signal) {
      const byteOf = (at: number) => Math.floor(at / cols) * rowBytes + Math.floor((at % cols) / perByte);
      const first = byteOf(start);
      const stored = new Float32Array(byteOf(start + out.length - 1) + 1 - first);
      await bytes.read(first, stored, signal);
      for (let i = 0, at = start; i < out.length; i++, at++) {
        const code = stored[byteOf(at) - first]! >> (((at % cols) % perByte) * bits);
        out[i] = code & (2 ** bits - 1);
      }
    },
  };
}

/** Codes that must not be taken for numbers. */
function refusedWeight(codes: Tensor, operator: string): Weight {
  const refused = `codes in an unsupported layout of ${operator}`;
  const tensor: Tensor = {
    ...descriptionOf(codes),
    refused,
    async read() {
      const found = `its values are ${refused}`;
      throw new RankscopeError('unsupported', codes.name, found, 'Open the model from before quantization');
    },
    ...(codes.readStored && { readStored: (offset, out, signal) => codes.readStored!(offset, out, signal) }),
  };
  return { codes, tensor, parts: [], isDecoded: false };
}
