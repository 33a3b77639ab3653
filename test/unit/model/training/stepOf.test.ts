import assert from 'node:assert/strict';
import { meanCurves } from '../../../../src/model/training/curves.ts';
import { stepOf } from '../../../../src/model/training/stepOf.ts';
import type { TrainingCurves } from '../../../../src/model/training/training.ts';

describe('the step in the name of a checkpoint', () => {
  const STEPS: Readonly<Record<string, number>> = {
    'checkpoint-500': 500,
    step1000: 1000,
    'step1000-tokens4B': 1000,
    global_step250: 250,
    iter_0002000: 2000,
    'epoch=3-step=1500.ckpt': 1500,
    'ep3-ba1000-rank0.pt': 1000,
    step_10k: 10_000,
    'ckpt_40.pt': 40,
    'run-step-7.safetensors': 7,
    '300': 300,
    'model_900.pt': 900,
  };
  for (const [name, value] of Object.entries(STEPS))
    it(`of ${name} is ${value}`, () => assert.deepEqual(stepOf(name), { unit: 'step', value }));

  it('is an epoch where only that is named', () => {
    for (const name of ['epoch_3', 'epoch-3.pt', 'checkpoint_epoch_3', 'ep3'])
      assert.deepEqual(stepOf(name), { unit: 'epoch', value: 3 });
  });

  it('is none of shards, of versions and of other files', () => {
    for (const name of ['model-00001-of-00002.safetensors', 'llama-3.2', 'logs', 'optimizer.pt', 'trainer_state.json'])
      assert.equal(stepOf(name), undefined, name);
  });
});

describe('the mean of training curves', () => {
  it('leaves out what is not known at a checkpoint', () => {
    const curves = (values: readonly (number | null)[]): TrainingCurves => ({
      ...{ effectiveRank: values, stableRank: values, norm: values, alpha: [null, null] },
      ...{ turnOut: values, turnIn: values, stepOut: values, stepIn: values },
    });
    const mean = meanCurves([curves([1, null]), curves([3, 4])]);
    assert.deepEqual(
      [mean.norm, mean.alpha],
      [
        [2, 4],
        [null, null],
      ],
    );
  });
});
