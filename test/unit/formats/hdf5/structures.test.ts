import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { elementCount } from '../../../../src/base/shape.ts';
import type { Checkpoint } from '../../../../src/checkpoint/checkpoint.ts';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { testFolder } from '../folder.ts';
import { python } from '../python.ts';
import { rejectsWith } from '../rejectsWith.ts';

const FOLDER = fileURLToPath(new URL('../../../fixtures/hdf5/structures/', import.meta.url));
/** By version of the library, because 2.0 stores the sizes of filtered chunks differently from 1.14. */
const FOLDERS = { '2.0': FOLDER, '1.14': fileURLToPath(new URL('../structures-1.14/', `file://${FOLDER}`)) };
const SCRIPT = fileURLToPath(new URL('../../../python/hdf5_structures.py', import.meta.url));

/** The values, by index and without zeros if there are many; null if they are not numbers to h5py. */
type Values = number[] | Record<string, number> | null;

interface Expected {
  readonly datasets: Readonly<Record<string, [shape: number[], dtype: string, values: Values]>>;
  readonly texts: Readonly<Record<string, string>>;
}

const expectedIn = (folder: string): Record<string, Expected> =>
  JSON.parse(readFileSync(`${folder}/expected.json`, 'utf8'));

/** The name of the type with NumPy's kind and size in bytes. */
function dtypeOf(numpy: string): string {
  const [, kind = '', bytes = ''] = /^[<>|=](\w)(\d+)$/.exec(numpy) ?? [];
  return kind === 'V' ? 'OPAQUE' : `${{ f: 'F', i: 'I', u: 'U' }[kind]}${8 * Number(bytes)}`;
}

async function valuesOf(checkpoint: Checkpoint, name: string, start = 0, end?: number): Promise<Float32Array> {
  const tensor = checkpoint.tensors.find((each) => each.name === name)!;
  const count = elementCount(tensor.shape);
  const out = new Float32Array((end ?? count) - start);
  await tensor.read(start, out);
  return out;
}

async function agrees(path: string, { datasets, texts }: Expected): Promise<void> {
  const checkpoint = await openCheckpoint(path);
  const tensors = new Map(checkpoint.tensors.map((tensor) => [tensor.name, tensor]));
  for (const [name, [shape, dtype, values]] of Object.entries(datasets)) {
    const tensor = tensors.get(name);
    assert.deepEqual(tensor?.shape, shape, name);
    if (values === null) continue;
    assert.equal(tensor?.dtype, dtypeOf(dtype), name);
    const count = elementCount(shape);
    const truth = new Float32Array(count);
    for (const [at, value] of Object.entries(values)) truth[Number(at)] = value;
    assert.deepEqual(await valuesOf(checkpoint, name), truth, name);
    if (count > 4) assert.deepEqual(await valuesOf(checkpoint, name, 3, count - 1), truth.subarray(3, -1), name);
  }
  for (const [name, text] of Object.entries(texts)) {
    const own = checkpoint.metadata.get(name)!;
    assert.ok(text.startsWith(own.replace(/…$/, '')) && (own === text || own.length > 2000), name);
  }
  assert.equal(checkpoint.metadata.size, Object.keys(texts).length);
  await checkpoint.close();
}

describe('HDF5 structures', () => {
  const folder = testFolder();

  for (const [version, files] of Object.entries(FOLDERS))
    for (const [file, expected] of Object.entries(expectedIn(files)))
      it(`have the shapes, types, values and texts that h5py reads: ${file} by HDF5 ${version}`, () =>
        agrees(files + file, expected));

  it('have the values that h5py reads in newly written large files of each kind', async function () {
    const made = folder.path('made');
    const script = `import runpy, sys; sys.argv[:] = [${JSON.stringify(SCRIPT)}, ${JSON.stringify(made)}, 'large']
runpy.run_path(${JSON.stringify(SCRIPT)})
print('{}')`;
    python(this, ['h5py', 'numpy'], script);
    for (const [file, expected] of Object.entries(expectedIn(made))) await agrees(`${made}/${file}`, expected);
  }).timeout(120_000);

  it('include bfloat16 as Keras marks it, unlike other opaque types of two bytes', async () => {
    const checkpoint = await openCheckpoint(`${FOLDER}attributes.h5`);
    assert.deepEqual(
      checkpoint.tensors.map(({ name, dtype }) => [name, dtype]),
      [
        ['weight', 'BF16'],
        ['plain bytes', 'OPAQUE'],
      ],
    );
    assert.deepEqual([...(await valuesOf(checkpoint, 'weight'))], [1.5, -3]);
    await checkpoint.close();
  });

  it('are refused by the name of an unsupported filter, but readable where it was not applied', async () => {
    const checkpoint = await openCheckpoint(`${FOLDER}refused.h5`);
    await rejectsWith(valuesOf(checkpoint, 'scale-offset'), 'unsupported', /scale-offset.*known are gzip/);
    assert.equal((await valuesOf(checkpoint, 'kernel')).length, 4);
    await checkpoint.close();
  });

  it('stay readable after a cancelled read', async () => {
    const checkpoint = await openCheckpoint(`${FOLDER}chunkTree.h5`);
    const plain = checkpoint.tensors.find(({ name }) => name === 'plain')!;
    const out = new Float32Array(200);
    await rejectsWith(plain.read(0, out, AbortSignal.abort()), 'cancelled');
    await plain.read(0, out);
    assert.ok(out.some((value) => value !== 0));
    await checkpoint.close();
  });
});
