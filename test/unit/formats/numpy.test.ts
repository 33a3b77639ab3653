import assert from 'node:assert/strict';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { checkpointPath } from './checkpointFiles.ts';
import { testFolder } from './folder.ts';
import { npyBytes, npyHeader } from './npyBytes.ts';
import { op, pickle } from './pickleBytes.ts';
import { python } from './python.ts';
import { readAll, withCheckpoint } from './readAll.ts';
import { rejectsWith } from './rejectsWith.ts';
import { zipBytes } from './zipBytes.ts';

describe('NumPy files', () => {
  const folder = testFolder();
  const SIX = new Float32Array([1, 2, 3, 4, 5, 6]);

  it('reads arrays in row-major order, whatever their stored order and byte order', async () => {
    const swapped = Buffer.from(SIX.buffer.slice(0)).swap32();
    const arrays = {
      'c.npy': npyBytes(npyHeader('<f4', [2, 3]), SIX),
      'fortran.npy': npyBytes(npyHeader('<f4', [2, 3], true), SIX),
      'big.npy': npyBytes(npyHeader('>f4', [6]), swapped),
      'scalar.npy': npyBytes(npyHeader('<i8', []), new BigInt64Array([-7n])),
      'bool.npy': npyBytes(npyHeader('|b1', [2]), new Uint8Array([1, 0])),
    };
    const expected = { c: [...SIX], fortran: [1, 3, 5, 2, 4, 6], big: [...SIX], scalar: [-7], bool: [1, 0] };
    for (const level of [0, 6] as const)
      assert.deepEqual(await withCheckpoint(folder.write(`${level}.npz`, zipBytes(arrays, level)), readAll), expected);
    const one = await withCheckpoint(folder.write('one.npy', arrays['fortran.npy']), readAll);
    assert.deepEqual(one, { array: expected.fortran });
  });

  it('leaves out non-numeric arrays and says so', async () => {
    const path = folder.write(
      'a.npz',
      zipBytes({ 'w.npy': npyBytes(npyHeader('<f4', [6]), SIX), 'o.npy': npyBytes(npyHeader('|O', [1]), SIX) }),
    );
    await withCheckpoint(path, ({ tensors, warnings }) => {
      assert.deepEqual(
        tensors.map(({ name }) => name),
        ['w'],
      );
      assert.match(warnings.join(), /o\.npy/);
    });
  });

  const refused: Record<string, readonly [bytes: Uint8Array, says: RegExp]> = {
    'more elements than bytes': [npyBytes(npyHeader('<f4', [7]), SIX), /needs 28 bytes, but 24 are stored/],
    'a huge shape': [npyBytes(npyHeader('<f4', [2 ** 40, 2 ** 40]), SIX), /needs/],
    'a shape beyond 2^53': [
      npyBytes(npyHeader('<f4', []).replace('()', '(99999999999999999999,)'), SIX),
      /has the invalid shape/,
    ],
    'a negative size': [npyBytes(npyHeader('<f4', []).replace('()', '(-3,)'), SIX), /invalid header/],
    'no shape': [npyBytes("{'descr': '<f4', 'fortran_order': False}", SIX), /invalid header/],
    'a header beyond the end': [Buffer.from('\x93NUMPY\x01\x00\xff\x0f{}  ', 'latin1'), /header of 4095 bytes/],
  };
  for (const [what, [bytes, says]] of Object.entries(refused))
    it(`refuses a NumPy file with ${what}`, async () => {
      await rejectsWith(openCheckpoint(folder.write('a.npy', bytes)), 'malformed', /a\.npy/, says);
      await rejectsWith(
        openCheckpoint(folder.write('a.npz', zipBytes({ 'x.npy': bytes }))),
        'malformed',
        /a\.npz/,
        says,
      );
    });

  it('reads the same values from retsim in NumPy and in safetensors', async function () {
    const expected = await withCheckpoint(checkpointPath(this, 'retsim/model.safetensors'), readAll);
    for (const name of ['retsim', 'retsim_compressed', 'retsim_fortran'])
      assert.deepEqual(
        await withCheckpoint(checkpointPath(this, `retsim-dtypes/${name}.npz`), readAll),
        expected,
        name,
      );
  });

  it('reads NumPy arrays in pickles of protocols 2 to 5', async function () {
    const script = `
import pickle, sys, json, numpy as np
state = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "f": np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3)),
    "s": np.float32(2.5), "o": np.array(["a"]), "h": np.array([1.5, -2], dtype=np.float16)}
for protocol in range(6):
    with open(sys.argv[1] + f"/{protocol}.pkl", "wb") as file: pickle.dump(state, file, protocol)
print(json.dumps(None))`;
    python(this, ['numpy'], script, folder.path());
    for (let protocol = 2; protocol < 6; protocol++)
      await withCheckpoint(folder.path(`${protocol}.pkl`), async (checkpoint) => {
        const expected = { w: [0, 1, 2, 3, 4, 5], f: [0, 1, 2, 3, 4, 5], s: [2.5], h: [1.5, -2] };
        assert.deepEqual(await readAll(checkpoint), expected, `protocol ${protocol}`);
        assert.deepEqual(checkpoint.security, []);
      });
  });

  it('reports what arrays of objects would import, in .npy files and in archives of them', async () => {
    const objects = npyBytes(npyHeader('|O', [1]), pickle(op.call('os', 'system', op.text('id'))));
    await rejectsWith(
      openCheckpoint(folder.write('o.npy', objects)),
      'unsupported',
      /'\|O'/,
      /Beware: it names os\.system/,
    );
    const numbers = npyBytes(npyHeader('<f4', [2, 3]), new Float32Array(6));
    await withCheckpoint(folder.write('o.npz', zipBytes({ 'w.npy': numbers, 'o.npy': objects })), (checkpoint) => {
      assert.deepEqual([checkpoint.tensors.length, checkpoint.security[0]?.subject], [1, 'os.system']);
      assert.match(checkpoint.warnings.join('\n'), /Beware/);
    });
  });

  it('says when an array of objects is followed by more pickles than it scans', async () => {
    const many = Buffer.concat(Array.from({ length: 1000 }, () => pickle(op.int(1))));
    const objects = npyBytes(npyHeader('|O', [1]), many);
    await rejectsWith(openCheckpoint(folder.write('many.npy', objects)), 'unsupported', /More pickles follow/);
    const numbers = npyBytes(npyHeader('<f4', [2, 3]), new Float32Array(6));
    await withCheckpoint(folder.write('m.npz', zipBytes({ 'w.npy': numbers, 'o.npy': objects })), ({ warnings }) =>
      assert.match(warnings.join('\n'), /More pickles follow/),
    );
  });

  it('does not run calls that a pickle of arrays contains', () =>
    rejectsWith(
      openCheckpoint(folder.write('a.pkl', pickle(op.call('numpy', 'load', op.text('x'))))),
      'not-a-checkpoint',
      /numpy\.load/,
    ));
});
