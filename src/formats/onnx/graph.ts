import { MAX_GRAPH_DEPTH, MAX_ONNX_TEXT, MAX_SHOWN_TEXT, MAX_TENSORS } from '../../bytes/limits.ts';
import type { Convolution } from '../../checkpoint/tensor.ts';
import { isQuantizedOperator, type QuantizedNode } from './quantizedNodes.ts';
import { readTensorProto, type TensorProto } from './tensorProto.ts';
import type { Field, Wire } from './wire.ts';

export interface Graph {
  /** Initializers, and Constant nodes under the name of their output, of the graph and its subgraphs. */
  readonly tensors: readonly TensorProto[];
  /** Names used as the right operand W of a product x W. These weights are stored as (in, out). */
  readonly rightOperands: ReadonlySet<string>;
  /** Weights of recurrent layers: a matrix (out, in) for each direction. */
  readonly recurrent: ReadonlySet<string>;
  /** The convolutions by the name of their kernel. */
  readonly convolutions: ReadonlyMap<string, Convolution>;
  /** The nodes that compute with weights stored as codes. */
  readonly quantizedNodes: readonly QuantizedNode[];
  readonly metadata: ReadonlyMap<string, string>;
}

/** Reads a ModelProto (onnx.proto3): the tensors of its graph and all subgraphs. */
export async function readModel(wire: Wire, size: number): Promise<Graph> {
  const tensors: TensorProto[] = [];
  const rightOperands = new Set<string>();
  const recurrent = new Set<string>();
  const convolutions = new Map<string, Convolution>();
  /** The input of each node that passes its values on in the same order, by its output. */
  const passed = new Map<string, string>();
  const quantizedNodes: QuantizedNode[] = [];
  const metadata = new Map<string, string>();
  const tensorAt = async ({ start, end }: Field, name?: string) => {
    if (tensors.length >= MAX_TENSORS) throw wire.malformed(`it has more than ${MAX_TENSORS} tensors`);
    const tensor = await readTensorProto(wire, start, end);
    tensors.push(name === undefined ? tensor : { ...tensor, name });
  };

  const graph = async (start: number, end: number, depth: number): Promise<void> => {
    if (depth > MAX_GRAPH_DEPTH) throw wire.malformed(`graphs are nested deeper than ${MAX_GRAPH_DEPTH}`);
    await wire.fields(start, end, (field) => {
      if (field.wire !== 2) return undefined;
      if (field.number === 1) return node(field, depth);
      return field.number === 5 ? tensorAt(field) : undefined;
    });
  };

  // Fields may come in any order, and how to treat some of them depends on others. Nodes and attributes are therefore
  // walked twice, which avoids keeping their fields.
  const node = async ({ start, end }: Field, depth: number): Promise<void> => {
    let [output, operator, left, right, third] = ['', '', '', '', ''];
    let [inputs, attributes, transposed] = [0, 0, false];
    await wire.fields(start, end, (field) => {
      if (field.wire !== 2) return undefined;
      const text = (keep: (text: string) => void) => wire.text(field, MAX_ONNX_TEXT).then(keep);
      if (field.number === 1 && ++inputs <= 3)
        return text((name) => {
          if (inputs === 1) left = name;
          else if (inputs === 2) right = name;
          else third = name;
        });
      if (field.number === 2 && output === '') return text((name) => (output = name));
      if (field.number === 4) return text((name) => (operator = name));
      if (field.number === 5) attributes++;
      return undefined;
    });
    const integers = new Map<string, number>();
    if (attributes > 0)
      await wire.fields(start, end, async (field) => {
        if (field.wire === 2 && field.number === 5 && (await attribute(field, operator, output, depth, integers)))
          transposed = true;
      });
    if (isQuantizedOperator(operator)) {
      const inputs: string[] = [];
      await wire.fields(start, end, (field) => {
        if (field.number === 1 && field.wire === 2)
          return wire.text(field, MAX_ONNX_TEXT).then((name) => {
            wire.allowance.spend(50 + 2 * name.length);
            inputs.push(name);
          });
        return undefined;
      });
      wire.allowance.spend(500);
      quantizedNodes.push({ operator, inputs, output, integers });
    }
    if (PASSING.has(operator) && !passed.has(output)) {
      wire.allowance.spend(150 + 2 * (left.length + output.length));
      passed.set(output, left);
    }
    if (RECURRENT.has(operator))
      for (const name of [right, third]) {
        wire.allowance.spend(100 + 2 * name.length);
        recurrent.add(name);
      }
    if (right !== '' && isConvolution(operator) && !convolutions.has(right)) {
      wire.allowance.spend(150 + 2 * right.length);
      const groups = integers.get('group') ?? 1;
      if (groups >= 1) convolutions.set(right, { isTransposed: operator === 'ConvTranspose', groups });
    }
    if (right === '' || !(operator === 'MatMul' || (operator === 'Gemm' && !transposed)) || rightOperands.has(right))
      return;
    wire.allowance.spend(100 + 2 * right.length);
    rightOperands.add(right);
  };

  /**
   * Visits the graphs and tensors of an attribute, and keeps the integer of a quantized operator or the groups of a
   * convolution. Returns whether it
   * marks the right operand as transposed.
   */
  const attribute = async (
    { start, end }: Field,
    operator: string,
    output: string,
    depth: number,
    integers: Map<string, number>,
  ) => {
    let [name, integer, nested] = ['', 0n, false];
    await wire.fields(start, end, (field) => {
      if (field.number === 1 && field.wire === 2)
        return wire.text(field, MAX_ONNX_TEXT).then((text) => {
          name = text;
        });
      if (field.number === 3) integer = field.value;
      else if (field.wire === 2 && [5, 6, 10, 11].includes(field.number)) nested = true;
      return undefined;
    });
    if (isQuantizedOperator(operator) || (isConvolution(operator) && name === 'group'))
      integers.set(name, Number(BigInt.asIntN(64, integer)));
    if (nested)
      await wire.fields(start, end, (field) => {
        if (field.wire !== 2) return undefined;
        const isTensor = field.number === 5 || field.number === 10;
        if (isTensor && operator === 'Constant' && name === 'value') return tensorAt(field, output);
        return field.number === 6 || field.number === 11 ? graph(field.start, field.end, depth + 1) : undefined;
      });
    return name === 'transB' && integer !== 0n;
  };

  let found = false;
  await wire.fields(0, size, async (field) => {
    if (field.number === 7 && field.wire === 2) {
      found = true;
      await graph(field.start, field.end, 0);
    } else if (field.number === 2 && field.wire === 2) {
      metadata.set('producer', await wire.text(field, MAX_ONNX_TEXT));
    } else if (field.number === 1 && field.wire === 0) {
      metadata.set('ir_version', String(field.value));
    } else if (field.number === 14 && field.wire === 2) {
      let [key, value] = ['', ''];
      await wire.fields(field.start, field.end, async (entry) => {
        if (entry.number === 1) key = await wire.text(entry, MAX_ONNX_TEXT);
        // A value may be a whole document, of which only the start is shown.
        if (entry.number === 2)
          value = await wire.text({ ...entry, end: Math.min(entry.end, entry.start + MAX_SHOWN_TEXT) }, MAX_ONNX_TEXT);
      });
      wire.allowance.spend(200 + 2 * (key.length + value.length));
      metadata.set(key, value);
    }
  });
  if (!found) throw wire.malformed('it contains no graph');
  // The uses of a value are those of the constant behind it. Nodes follow the ones whose outputs they read.
  for (const [output, input] of [...passed].reverse()) {
    if (rightOperands.has(output)) rightOperands.add(input);
    if (recurrent.has(output)) recurrent.add(input);
    const convolution = convolutions.get(output);
    if (convolution && !convolutions.has(input)) convolutions.set(input, convolution);
  }
  return { tensors, rightOperands, recurrent, convolutions, quantizedNodes, metadata };
}

/** Operators whose output is their first input, element by element, as far as layouts go. */
const PASSING: ReadonlySet<string> = new Set(['Identity', 'Cast', 'QuantizeLinear', 'DequantizeLinear']);
const RECURRENT: ReadonlySet<string> = new Set(['LSTM', 'GRU', 'RNN']);

const isConvolution = (operator: string) => operator === 'Conv' || operator === 'ConvTranspose';
