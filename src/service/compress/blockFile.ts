import { elementCount } from '../../base/shape.ts';
import { openCheckpoint } from '../../checkpoint/open.ts';
import type { Tensor } from '../../checkpoint/tensor.ts';
import type { CompressedBlock } from '../../model/compression.ts';
import type { Factors } from '../../network/variant.ts';
import { encode } from '../../write/encode.ts';
import { type TensorToWrite, writeSafetensors } from '../../write/safetensorsWriter.ts';

/** A block that is compressed: what replaces its layers and norms. */
export interface FinishedBlock {
  readonly report: CompressedBlock;
  /** ||W X - W' X'||_F / ||W X||_F by the names of modules, of those that tokens reached. */
  readonly inputErrors: ReadonlyMap<string, number>;
  /** By the names of modules. */
  readonly factors: ReadonlyMap<string, Factors>;
  /** Trained norms by their names in `Block.norms`. */
  readonly norms: ReadonlyMap<string, { readonly weight: Float32Array; readonly bias?: Float32Array | undefined }>;
}

const [REPORT, INPUT_ERRORS] = ['rankscope.block', 'rankscope.inputErrors'];

/** Writes a block whole or not at all, with its values in f32, so that they are read back as they were. */
export async function writeBlockFile(
  file: string,
  { report, inputErrors, factors, norms }: FinishedBlock,
): Promise<void> {
  const tensors: TensorToWrite[] = [];
  for (const [name, { b, a }] of factors)
    tensors.push(tensorOf(`factor b ${name}`, b), tensorOf(`factor a ${name}`, a));
  for (const [part, { weight, bias }] of norms) {
    tensors.push(tensorOf(`norm weight ${part}`, weight));
    if (bias) tensors.push(tensorOf(`norm bias ${part}`, bias));
  }
  const metadata = new Map([
    [REPORT, JSON.stringify(report)],
    [INPUT_ERRORS, JSON.stringify([...inputErrors])],
  ]);
  await writeSafetensors({ out: file, tensors, metadata, sources: [], overwrite: true });
}

/** Undefined if there is no such file, or it is damaged: its block is then compressed again. */
export async function readBlockFile(file: string): Promise<FinishedBlock | undefined> {
  try {
    const checkpoint = await openCheckpoint(file);
    try {
      const report = JSON.parse(checkpoint.metadata.get(REPORT) ?? '') as CompressedBlock;
      const inputErrors = JSON.parse(checkpoint.metadata.get(INPUT_ERRORS) ?? '') as [string, number][];
      const values = new Map<string, Float32Array>();
      for (const tensor of checkpoint.tensors) values.set(tensor.name, await valuesOf(tensor));
      const named = (kind: string) =>
        [...values].flatMap(([name, own]) => (name.startsWith(kind) ? [[name.slice(kind.length), own] as const] : []));
      const factors = named('factor b ').map(([name, b]) => [name, { b, a: values.get(`factor a ${name}`)! }] as const);
      const norms = named('norm weight ').map(
        ([part, weight]) => [part, { weight, bias: values.get(`norm bias ${part}`) }] as const,
      );
      if (factors.some(([, { a }]) => !a)) return undefined;
      return { report, inputErrors: new Map(inputErrors), factors: new Map(factors), norms: new Map(norms) };
    } finally {
      await checkpoint.close();
    }
  } catch {
    return undefined;
  }
}

function tensorOf(name: string, values: Float32Array): TensorToWrite {
  return {
    name,
    dtype: 'F32',
    shape: [values.length],
    bytes: values.byteLength,
    async *content() {
      yield encode(values, 'F32');
    },
  };
}

async function valuesOf(tensor: Tensor): Promise<Float32Array> {
  const values = new Float32Array(elementCount(tensor.shape));
  await tensor.read(0, values);
  return values;
}
