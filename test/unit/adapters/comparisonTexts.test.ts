import assert from 'node:assert/strict';
import { adapterLabels } from '../../../src/adapters/comparison/texts.ts';

const labels = (...paths: (string | readonly [string, string])[]) =>
  adapterLabels(
    paths.map((each) => (typeof each === 'string' ? { path: each, name: null } : { path: each[0], name: each[1] })),
  );

describe('the names of compared adapters', () => {
  it('are those of their files, or of their folders where the file is called as all are', () => {
    assert.deepEqual(labels('/a/de.safetensors', '/a/en.safetensors'), ['de', 'en']);
    assert.deepEqual(labels('/a/de/adapter_model.safetensors', '/a/en'), ['de', 'en']);
    assert.deepEqual(labels('/a/de/pytorch_lora_weights.safetensors', '/a/en/adapter_model.bin'), ['de', 'en']);
  });

  it('are as long as it takes to tell them apart', () => {
    assert.deepEqual(labels('/a/de/lora.safetensors', '/a/en/lora.safetensors'), ['de/lora', 'en/lora']);
    assert.deepEqual(labels('/x/run/1/adapter_model.bin', '/y/run/1/adapter_model.bin'), ['x/run/1', 'y/run/1']);
    assert.deepEqual(labels(['/a/both.bin', 'de'], ['/a/both.bin', 'en']), ['both (de)', 'both (en)']);
    assert.deepEqual(labels('/a/de', '/a/de'), ['de #1', 'de #2']);
  });
});
