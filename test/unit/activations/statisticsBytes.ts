import { f32s, ggufBytes, text, u32, u64 } from '../formats/gguf/ggufBytes.ts';
import { f32, fileOf, type Stored } from '../formats/storedFile.ts';

/** A group of matrices in a file of statistics. */
export interface TestGroup {
  readonly name: string;
  readonly matrices: Readonly<Record<string, readonly [number, number]>>;
  /** n x n, row-major. */
  readonly r: ArrayLike<number>;
  readonly tokens: number;
}

/** A file as src/activations/fileFormat.ts describes it. */
export function statisticsFile(
  groups: readonly TestGroup[],
  changes: Readonly<Record<string, string>> = {},
  more: Readonly<Record<string, Stored>> = {},
): Buffer {
  const tensors = groups.flatMap(({ name, r, tokens }): [string, Stored][] => {
    const n = Math.sqrt(r.length);
    return [
      [`${name}.R`, f32([n, n], Array.from(r))],
      [`${name}.tokens`, { dtype: 'I64', shape: [], data: BigInt64Array.of(BigInt(tokens)) }],
    ];
  });
  return fileOf(
    { ...Object.fromEntries(tensors), ...more },
    {
      'rankscope.format': 'rankscope.activations/1',
      'rankscope.groups': JSON.stringify(groups.map(({ name, matrices }) => ({ name, matrices }))),
      'rankscope.model': 'tiny',
      'rankscope.text': 'text.txt',
      'rankscope.producer': 'a test',
      ...changes,
    },
  );
}

/** An entry of an imatrix: sums of squares of n inputs for each expert, and the tokens of each. */
export interface TestEntry {
  readonly name: string;
  readonly sums: readonly (readonly number[])[];
  readonly counts: readonly number[];
}

/** As llama-imatrix writes it, in GGUF. */
export function imatrixGgufFile(entries: readonly TestEntry[]): Buffer {
  const [F32, STRING, ARRAY, UINT32] = [0, 8, 9, 4];
  return ggufBytes({
    metadata: [
      ['general.type', STRING, text('imatrix')],
      ['imatrix.datasets', ARRAY, Buffer.concat([u32(STRING), u64(1), text('wiki.train.raw')])],
      ['imatrix.chunk_count', UINT32, u32(4)],
      ['imatrix.chunk_size', UINT32, u32(512)],
    ],
    tensors: entries.flatMap(({ name, sums, counts }) => [
      { name: `${name}.in_sum2`, dimensions: [sums[0]!.length, sums.length], type: F32, data: f32s(...sums.flat()) },
      { name: `${name}.counts`, dimensions: [1, counts.length], type: F32, data: f32s(...counts) },
    ]),
  });
}

/** As llama-imatrix wrote it before, and still does with `--output-format dat`. */
export function imatrixDatFile(entries: readonly TestEntry[], dataset: string | null = 'wiki.train.raw'): Buffer {
  const calls = 4;
  return Buffer.concat([
    u32(entries.length),
    ...entries.flatMap(({ name, sums, counts }) => {
      const values = sums.flatMap((own, k) => own.map((sum) => (counts[k]! > 0 ? (sum / counts[k]!) * calls : calls)));
      return [u32(name.length), Buffer.from(name), u32(calls), u32(values.length), f32s(...values)];
    }),
    ...(dataset === null ? [] : [u32(calls), u32(dataset.length), Buffer.from(dataset)]),
  ]);
}
