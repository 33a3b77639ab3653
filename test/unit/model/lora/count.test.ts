import assert from 'node:assert/strict';
import { countLora } from '../../../../src/model/lora/count.ts';
import { USUAL_MODELS, usualModel } from '../../../../src/model/lora/usualModels.ts';

describe('the count of LoRA', () => {
  const rowOf = (name: string, targets: string, rank: number) => {
    const found = countLora(usualModel(name)!, [rank]).rows.find((row) => row.targets === targets);
    return [found?.parameters, found?.tutorial];
  };

  it('is what PEFT prints for models with grouped queries and fused layers', () => {
    // print_trainable_parameters of PEFT for these bases.
    assert.equal(rowOf('Llama-2-7b', 'q,v', 8)[0], 4_194_304);
    assert.equal(rowOf('Llama-3.1-8B', 'all-linear', 16)[0], 41_943_040);
    assert.equal(rowOf('gpt2', 'q,v', 8)[0], 294_912);
  });

  it('equals 2 d r L only where every adapted matrix is d x d', () => {
    assert.deepEqual(rowOf('Llama-2-7b', 'attention', 8), [8_388_608, 2 * 4096 * 8 * 4 * 32]);
    assert.deepEqual(rowOf('Llama-3.1-8B', 'q,v', 8), [8 * 32 * (8192 + 5120), 2 * 4096 * 8 * 2 * 32]);
    assert.deepEqual(rowOf('gpt2', 'q,v', 8), [294_912, 2 * 768 * 8 * 2 * 12]);
  });

  it('breaks even at d / 2 for a d x d matrix and at m n / (m + n) for others', () => {
    const { shapes, rows } = countLora(usualModel('Llama-3.1-8B')!, [819, 820, 2048]);
    const breakEven = Object.fromEntries(shapes.map(({ shape, breakEven }) => [shape.join('x'), breakEven]));
    assert.deepEqual(breakEven, { '4096x4096': 2048, '1024x4096': 819, '14336x4096': 3185, '4096x14336': 3185 });
    const beyond = rows.filter(({ targets }) => targets === 'attention').map((row) => row.beyondBreakEven);
    assert.deepEqual(beyond, [0, 64, 64]);
  });

  it('has the parameters of every usual model between its modules and twice as many', () => {
    for (const name of USUAL_MODELS) {
      const { modules, parameters } = usualModel(name)!;
      const inModules = modules.reduce((sum, { shape: [m, n], count }) => sum + m * n * count, 0);
      assert.ok(inModules < parameters && parameters < 2 * inModules, name);
    }
  });
});
