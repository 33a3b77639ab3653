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

  it('has sizes of usual models that give the published number of parameters', () => {
    // The vocabulary, whether the head is the embedding, and the parameters of norms and biases.
    const others: Record<string, readonly [vocabulary: number, tied: boolean, vectors: number]> = {
      'SmolLM2-135M': [49_152, true, 30 * 1152 + 576],
      'SmolLM2-360M': [49_152, true, 32 * 1920 + 960],
      'SmolLM2-1.7B': [49_152, true, 24 * 4096 + 2048],
      'TinyLlama-1.1B': [32_000, false, 22 * 4096 + 2048],
      'Llama-3.2-1B': [128_256, true, 16 * 4096 + 2048],
      'Llama-3.2-3B': [128_256, true, 28 * 6144 + 3072],
      'Llama-2-7b': [32_000, false, 32 * 8192 + 4096],
      'Llama-3.1-8B': [128_256, false, 32 * 8192 + 4096],
      'Llama-2-13b': [32_000, false, 40 * 10240 + 5120],
      'Llama-2-70b': [32_000, false, 80 * 16384 + 8192],
      'Llama-3.1-70B': [128_256, false, 80 * 16384 + 8192],
      'Mistral-7B': [32_000, false, 32 * 8192 + 4096],
      'Mistral-Nemo-12B': [131_072, false, 40 * 10240 + 5120],
      'Mistral-Small-24B': [131_072, false, 40 * 10240 + 5120],
      'Qwen2.5-0.5B': [151_936, true, 24 * 2944 + 896],
      'Qwen2.5-1.5B': [151_936, true, 28 * 5120 + 1536],
      'Qwen2.5-3B': [151_936, true, 36 * 6656 + 2048],
      'Qwen2.5-7B': [152_064, false, 28 * 11776 + 3584],
      'Qwen2.5-14B': [152_064, false, 48 * 17408 + 5120],
      'Qwen2.5-32B': [152_064, false, 64 * 17408 + 5120],
      'Qwen2.5-72B': [152_064, false, 80 * 26624 + 8192],
      'Qwen3-0.6B': [151_936, true, 28 * 2304 + 1024],
      'Qwen3-1.7B': [151_936, true, 28 * 4352 + 2048],
      'Qwen3-4B': [151_936, true, 36 * 5376 + 2560],
      'Qwen3-8B': [151_936, false, 36 * 8448 + 4096],
      'Qwen3-14B': [151_936, false, 40 * 10496 + 5120],
      'Qwen3-32B': [151_936, false, 64 * 10496 + 5120],
      'Gemma-2-2b': [256_000, true, 26 * 9216 + 2304],
      'Gemma-2-9b': [256_000, true, 42 * 14336 + 3584],
      'Gemma-2-27b': [256_000, true, 46 * 18432 + 4608],
      'Gemma-3-1b': [262_144, true, 26 * 5120 + 1152],
      'Phi-4': [100_352, false, 40 * 10240 + 5120],
      'Phi-3-mini': [32_064, false, 32 * 6144 + 3072],
      // Learned positions count as words.
      gpt2: [50_257 + 1024, true, 12 * 13 * 768 + 2 * 768],
      'gpt2-medium': [50_257 + 1024, true, 24 * 13 * 1024 + 2 * 1024],
      'gpt2-large': [50_257 + 1024, true, 36 * 13 * 1280 + 2 * 1280],
      'gpt2-xl': [50_257 + 1024, true, 48 * 13 * 1600 + 2 * 1600],
      // With two types of sentences and a pooler.
      'bert-base-uncased': [30_522 + 512 + 2 + 768, true, 12 * 13 * 768 + 3 * 768],
    };
    assert.deepEqual(Object.keys(others).sort(), [...USUAL_MODELS].sort());
    for (const [name, [vocabulary, tied, vectors]] of Object.entries(others)) {
      const { modules, parameters, hidden } = usualModel(name)!;
      const inModules = modules.reduce((sum, { shape: [m, n], count }) => sum + m * n * count, 0);
      assert.equal(inModules + vocabulary * hidden! * (tied ? 1 : 2) + vectors, parameters, name);
    }
  });
});
