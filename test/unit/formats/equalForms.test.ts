import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { elementCount } from '../../../src/base/shape.ts';
import { openCheckpoint } from '../../../src/checkpoint/open.ts';
import { checkpointPath } from './checkpointFiles.ts';

/**
 * Prints of the matrices of a checkpoint by their values alone: formats store the same rows in another order, and name
 * them otherwise.
 */
async function prints(path: string): Promise<Set<string>> {
  const checkpoint = await openCheckpoint(path);
  const found = new Set<string>();
  for (const tensor of checkpoint.tensors) {
    const count = elementCount(tensor.shape);
    if (!/^(F|BF)\d/.test(tensor.dtype) || tensor.shape.length < 2 || count < 64) continue;
    const values = new Float32Array(count);
    await tensor.read(0, values);
    values.sort();
    found.add(createHash('sha256').update(new Uint8Array(values.buffer)).digest('hex'));
  }
  await checkpoint.close();
  return found;
}

describe('one model in several formats', () => {
  const STORIES = [
    'stories260K-hf/pytorch_model.bin',
    'stories260K-hf/pytorch_model_tied.bin',
    'stories260K-hf/legacy_nested_nonzip.pth',
    'stories260K-sharded',
    'stories260K-gguf/stories260K.F32.gguf',
    'llama2c-stories260K/stories260K.repaired.bin',
  ];
  for (const form of STORIES) {
    it(`${form} has the matrices of stories260K-hf/model.safetensors`, async function () {
      const truth = await prints(checkpointPath(this, 'stories260K-hf/model.safetensors'));
      assert.equal(truth.size, 36);
      assert.deepEqual(await prints(checkpointPath(this, form)), truth);
    });
  }

  it('silero_vad.onnx has every matrix of silero_vad.jit', async function () {
    const jit = await prints(checkpointPath(this, 'silero-vad/silero_vad.jit'));
    const onnx = await prints(checkpointPath(this, 'silero-vad/silero_vad.onnx'));
    assert.ok(jit.size >= 10);
    assert.deepEqual(
      [...jit].filter((print) => !onnx.has(print)),
      [],
    );
  });

  it('magika’s standard_v1.onnx has every matrix of standard_v1.h5, and v3.3 is one in ONNX and TensorFlow.js', async function () {
    const [h5, v1] = [
      await prints(checkpointPath(this, 'magika/standard_v1.h5')),
      await prints(checkpointPath(this, 'magika/standard_v1.onnx')),
    ];
    assert.deepEqual(
      [...h5].filter((print) => !v1.has(print)),
      [],
    );
    const [onnx, tf] = [
      await prints(checkpointPath(this, 'magika/standard_v3_3.onnx')),
      await prints(checkpointPath(this, 'magika-tfjs')),
    ];
    assert.ok(onnx.size >= 3);
    assert.deepEqual(
      [...onnx].filter((print) => !tf.has(print)),
      [],
    );
  });
});
