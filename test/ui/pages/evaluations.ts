import type { Evaluation, VariantEvaluation } from '../../../src/model/evaluation.ts';

/** Sizes of the model whose numbers these are: SmolLM2-135M, of which the matrices in the blocks may be cut. */
const [MODEL, CUT] = [134_515_008, 106_168_320];

/** A measured variant with `kept` of what may be cut. Its numbers fit each other: loss, perplexity, difference. */
export function variantOf(
  name: string,
  kind: VariantEvaluation['kind'],
  dense: number,
  perplexity: number,
  kept: number,
  change: Partial<VariantEvaluation> = {},
): VariantEvaluation {
  const difference = Math.log(perplexity / dense);
  const parametersAfter = Math.round(kept * CUT);
  return {
    name,
    kind,
    rank: null,
    perplexity,
    loss: Math.log(perplexity),
    lossError: 0.031,
    difference,
    differenceError: 0.004 + 0.03 * Math.abs(difference),
    divergence: { mean: 0.8 * difference, median: 0.4 * difference, q90: 2 * difference, q99: 5 * difference, max: 12 },
    sameTop: Math.max(0.02, 1 - 0.45 * difference),
    size: {
      cut: kind === 'file' ? null : { parametersBefore: CUT, parametersAfter, keptShare: parametersAfter / CUT },
      parametersOfModel: MODEL - CUT + parametersAfter,
      keptShareOfModel: (MODEL - CUT + parametersAfter) / MODEL,
    },
    predictedError: kind === 'file' ? null : 0.62 * Math.sqrt(1.05 - kept),
    ...change,
  };
}

/** A run over wikitext with five ranks; the lowest ones are far worse than the dense model. */
export function evaluationOf(change: Partial<Evaluation> = {}): Evaluation {
  const dense = 24.4903;
  const ranks = [
    [512, 25.02, 0.94],
    [256, 81.56, 0.71],
    [128, 2374.2, 0.36],
    [64, 43_322, 0.18],
    [32, 7_400_299, 0.09],
  ] as const;
  return {
    format: 'rankscope.evaluation/1',
    source: 'rankscope',
    checkpoint: {
      path: '/models/smollm2/model.safetensors',
      format: 'safetensors',
      parameters: MODEL,
      bytes: 2 * MODEL,
    },
    text: {
      name: 'wikitext2-evaluation.txt',
      tokens: 21_004,
      windows: 16,
      context: 512,
      scored: 8176,
      dropped: 12_812,
      startToken: null,
      tokenizer: 'tokenizer.json (BPE, 49,152 pieces)',
    },
    dense: { perplexity: dense, loss: Math.log(dense), lossError: 0.0301 },
    variants: ranks.map(([rank, perplexity, kept]) =>
      variantOf(`rank ${rank}`, 'rank', dense, perplexity, kept, { rank }),
    ),
    engine: { name: 'cpu', device: 'EPYC', threads: 2, reason: 'no GPU adapter found' },
    seconds: 41.2,
    notes: ['The text has 21,004 tokens, of which 8,192 were used: --tokens 8192.'],
    ...change,
  };
}

/** A later run over the same tokens: two plans and a factorized file, close to the dense model. */
export function plansEvaluation(): Evaluation {
  const first = evaluationOf();
  const { perplexity: dense } = first.dense;
  return evaluationOf({
    variants: [
      variantOf('90 % kept, optimal', 'plan', dense, 27.12, 0.9),
      variantOf('80 % kept, optimal', 'plan', dense, 38.59, 0.8),
      variantOf('smollm2.lowrank.safetensors', 'file', dense, 26.68, 0.9),
    ],
    notes: [],
  });
}
