import { readTensorProto, type TensorProto } from './tensorProto.ts';
import type { Field, Wire } from './wire.ts';

export interface Graph {
  /** Initializers by their names, Constant nodes by the name of their output, those of subgraphs as well. */
  readonly tensors: readonly TensorProto[];
  /** Names that are the right operand of a product x W: their weights are stored as (in, out). */
  readonly rightOperands: ReadonlySet<string>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** If, Loop and Scan nest; real models stop at 3 or so. */
const MAX_GRAPH_DEPTH = 32;
const MAX_TEXT = 65_536;

/** Reads a ModelProto (onnx.proto3): the tensors of its graph and all graphs inside. */
export async function readModel(wire: Wire, size: number): Promise<Graph> {
  const tensors: TensorProto[] = [];
  const rightOperands = new Set<string>();
  const metadata = new Map<string, string>();
  const tensorAt = async ({ start, end }: Field, name?: string) => {
    const tensor = await readTensorProto(wire, start, end);
    tensors.push(name === undefined ? tensor : { ...tensor, name });
  };

  const graph = async (start: number, end: number, depth: number): Promise<void> => {
    if (depth > MAX_GRAPH_DEPTH) throw wire.malformed(`graphs are nested deeper than ${MAX_GRAPH_DEPTH}`);
    await wire.fields(start, end, async (field) => {
      if (field.wire !== 2) return;
      if (field.number === 1) await node(field, depth);
      else if (field.number === 5) await tensorAt(field);
    });
  };

  const node = async ({ start, end }: Field, depth: number): Promise<void> => {
    const inputs: string[] = [];
    const attributes: Field[] = [];
    let [output, operator, transposed] = ['', '', false];
    await wire.fields(start, end, async (field) => {
      if (field.wire !== 2) return;
      if (field.number === 1) inputs.push(await wire.text(field, MAX_TEXT));
      else if (field.number === 2) output ||= await wire.text(field, MAX_TEXT);
      else if (field.number === 4) operator = await wire.text(field, MAX_TEXT);
      else if (field.number === 5) attributes.push(field);
    });
    for (const attribute of attributes) {
      const values: Field[] = [];
      const graphs: Field[] = [];
      let [name, integer] = ['', 0n];
      await wire.fields(attribute.start, attribute.end, async (field) => {
        if (field.number === 1 && field.wire === 2) name = await wire.text(field, MAX_TEXT);
        else if (field.number === 3) integer = field.value;
        else if (field.wire === 2 && (field.number === 5 || field.number === 10)) values.push(field);
        else if (field.wire === 2 && (field.number === 6 || field.number === 11)) graphs.push(field);
      });
      if (operator === 'Constant' && name === 'value') for (const value of values) await tensorAt(value, output);
      if (name === 'transB' && integer !== 0n) transposed = true;
      for (const each of graphs) await graph(each.start, each.end, depth + 1);
    }
    const right = inputs[1];
    if (right !== undefined && (operator === 'MatMul' || (operator === 'Gemm' && !transposed)))
      rightOperands.add(right);
  };

  let found = false;
  await wire.fields(0, size, async (field) => {
    if (field.number === 7 && field.wire === 2) {
      found = true;
      await graph(field.start, field.end, 0);
    } else if (field.number === 2 && field.wire === 2) {
      metadata.set('producer', await wire.text(field, MAX_TEXT));
    } else if (field.number === 1 && field.wire === 0) {
      metadata.set('ir_version', String(field.value));
    } else if (field.number === 14 && field.wire === 2) {
      let [key, value] = ['', ''];
      await wire.fields(field.start, field.end, async (entry) => {
        if (entry.number === 1) key = await wire.text(entry, MAX_TEXT);
        // A value may be a whole document; the first part is enough to look at.
        if (entry.number === 2)
          value = await wire.text({ ...entry, end: Math.min(entry.end, entry.start + 2000) }, MAX_TEXT);
      });
      metadata.set(key, value);
    }
  });
  if (!found) throw wire.malformed('it holds no graph');
  return { tensors, rightOperands, metadata };
}
