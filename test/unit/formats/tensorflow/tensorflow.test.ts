import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { elementCount } from '../../../../src/base/shape.ts';
import type { Checkpoint } from '../../../../src/checkpoint/checkpoint.ts';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { testFolder } from '../folder.ts';
import { rejectsWith } from '../rejectsWith.ts';

const FOLDER = fileURLToPath(new URL('../../../fixtures/tensorflow/', import.meta.url));
const EXPECTED: Record<string, [number[], number[]]> = JSON.parse(readFileSync(`${FOLDER}expected.json`, 'utf8'));
const INDEX = readFileSync(`${FOLDER}model.ckpt.index`);
const DATA = readFileSync(`${FOLDER}model.ckpt.data-00000-of-00001`);

async function values(checkpoint: Checkpoint, name: string): Promise<number[]> {
  const found = checkpoint.tensors.find((each) => each.name === name)!;
  const out = new Float32Array(elementCount(found.shape));
  await found.read(0, out);
  return [...out];
}

describe('TensorFlow checkpoints', () => {
  const folder = testFolder();

  it('agrees with TensorFlow on the name, shape and values of every variable', async () => {
    const checkpoint = await openCheckpoint(`${FOLDER}model.ckpt.index`);
    assert.deepEqual(checkpoint.tensors.map(({ name }) => name).sort(), Object.keys(EXPECTED).sort());
    for (const [name, [shape, truth]] of Object.entries(EXPECTED)) {
      assert.deepEqual(checkpoint.tensors.find((each) => each.name === name)?.shape, shape);
      assert.deepEqual(await values(checkpoint, name), [...Float32Array.from(truth)], name);
    }
    await checkpoint.close();
  });

  it('opens a SavedModel by its folder', async () => {
    const checkpoint = await openCheckpoint(`${FOLDER}saved`);
    assert.deepEqual(await values(checkpoint, 'kernel'), [...Float32Array.from(EXPECTED['model/kernel']![1])]);
    await checkpoint.close();
  });

  it('refuses an index cut off at any point', async () => {
    folder.write('m.data-00000-of-00001', DATA);
    for (let length = 0; length < INDEX.length; length += 13) {
      await assert.rejects(openCheckpoint(folder.write('m.index', INDEX.subarray(0, length))), {
        name: 'RankscopeError',
      });
    }
  });

  it('names a missing data file, and refuses one that is cut off', async () => {
    const index = folder.write('m.index', INDEX);
    await rejectsWith(openCheckpoint(index), 'not-found', /m\.data-00000-of-00001/);
    folder.write('m.data-00000-of-00001', DATA.subarray(0, 40));
    await rejectsWith(openCheckpoint(index), 'malformed', /which has 40/);
  });
});
