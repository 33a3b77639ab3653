import type { CompressedBlock, CompressionReport } from '../../../src/model/compression.ts';
import type { Generation } from '../../../src/model/generation.ts';

const [MODEL, CUT] = [134_515_008, 106_168_320];

/** A block of SmolLM2-135M: its error grows with the layer, and refinement lowers it by a part. */
export function blockOf(layer: number, change: Partial<CompressedBlock> = {}): CompressedBlock {
  const before = 3e-4 * 1.16 ** layer;
  const losses = Array.from(
    { length: 96 },
    (_, step) => before * (0.75 + 0.25 * Math.exp(-step / 18)) * (1 + 0.06 * Math.sin(step * 2.4 + layer)),
  );
  return {
    ...{ layer, cut: 3, dense: 4, losses, before, after: 0.78 * before, refined: true, reason: null, seconds: 21.4 },
    inputErrors: { predicted: 0.1 + 0.002 * layer, measured: 0.12 + 0.004 * layer },
    ...change,
  };
}

const generation: Generation = {
  format: 'rankscope.generation/1',
  path: '/models/smollm2/model.safetensors',
  prompt: { text: 'Once upon a time', ids: [6403, 1980, 253, 655] },
  tokens: 32,
  tokenizer: 'tokenizer.json, BPE',
  dense: {
    text: ', there was a little girl who lived in a small house by the sea with her mother and her cat.',
    ids: [1, 2, 3, 4, 5, 6],
    ended: false,
    repetition: { longest: null, loop: null, distinct: [0.9, 1, 1], repeats: false },
    promptSeconds: 0.1,
    tokensPerSecond: 20,
  },
  variant: {
    name: 'smaller.safetensors',
    text: ', there was a little girl who lived in a big house with her father and two dogs.',
    ids: [1, 2, 3, 7, 8, 9],
    ended: false,
    repetition: { longest: null, loop: null, distinct: [0.9, 1, 1], repeats: false },
    promptSeconds: 0.1,
    tokensPerSecond: 24,
  },
  agreement: { firstDivergence: 9, equalShare: 0.5, sameChoiceShare: 0.78 },
  engine: { name: 'cpu', device: 'CPU', threads: 2, reason: 'asked for' },
  notes: [],
};

function score(perplexity: number) {
  return { perplexity, loss: Math.log(perplexity), lossError: 0.02 };
}

/** SmolLM2-135M at 80 %. */
export function compressionOf(change: Partial<CompressionReport> = {}): CompressionReport {
  const measured = (text: string, before: number, after: number) => ({
    ...{ text, windows: 16, scored: 8176, dense: score(before) },
    compressed: {
      ...score(after),
      ...{ difference: Math.log(after / before), differenceError: 0.008, sameTop: 0.71 },
      divergence: { mean: 0.36, median: 0.21, q90: 0.9, q99: 2.31, max: 7.2 },
    },
  });
  const after = Math.round(0.8 * CUT);
  return {
    format: 'rankscope.compression/1',
    checkpoint: {
      path: '/models/smollm2/model.safetensors',
      format: 'safetensors',
      parameters: MODEL,
      bytes: 2 * MODEL,
    },
    out: '/models/smollm2/smaller.safetensors',
    planFile: '/models/smollm2/smaller.plan.json',
    code: '/models/smollm2/smaller.py',
    text: {
      ...{ name: 'wikitext2-calibration.txt', sampled: null, digest: 'a'.repeat(64), tokens: 104_233, context: 512 },
      ...{ startToken: null, tokenizer: 'tokenizer.json, BPE', dropped: 77_000 },
      calibration: { windows: 32, tokens: 16_384 },
      heldOut: { windows: 4, tokens: 2048 },
      unseen: { windows: 16, tokens: 8192 },
    },
    method: {
      ...{ spread: 'loss', measured: 210, filledIn: 0, measureTokens: 1024, ridge: 0.1, seed: 0 },
      refinement: { steps: 96, rate: 3e-4 },
    },
    size: {
      keep: 0.8,
      totals: {
        ...{ parametersBefore: CUT, parametersAfter: after, bytesBefore: 2 * CUT, bytesAfter: 2 * after, error: 0.1 },
        ...{ keptShare: 0.8, keptShareOfModel: 1 - (CUT - after) / MODEL },
      },
      ...{ parametersBefore: MODEL, parametersAfter: MODEL - CUT + after },
      ...{ bytesBefore: 2 * MODEL, bytesAfter: 2 * (MODEL - CUT + after) },
    },
    calibration: measured('calibration windows', 21.63, 27.9),
    unseen: measured('unseen windows of wikitext2-calibration.txt', 24.49, 34.08),
    blocks: Array.from({ length: 30 }, (_, layer) =>
      layer === 4
        ? blockOf(layer, { refined: false, reason: 'a gradient is NaN or infinite', after: null })
        : blockOf(layer),
    ),
    matrices: [
      {
        name: 'model.layers.0.mlp.up_proj.weight',
        rank: 120,
        predictedError: 0.2,
        measuredError: 0.4,
        inputError: 0.25,
      },
    ],
    smokeTest: { generation },
    estimate: {
      ...{ seconds: { plan: 300, blocks: 800, measure: 40 }, secondsTotal: 1140, memoryBytes: 820e6, diskBytes: 340e6 },
      ...{ schedule: { steps: 96, measureSeconds: null }, notes: [] },
    },
    resumedBlocks: 0,
    engine: { name: 'cpu', device: 'CPU, 2 threads', threads: 2, reason: 'asked for' },
    seconds: 1204,
    notes: ['Block 5 stays as truncated: a gradient is NaN or infinite.'],
    ...change,
  };
}
