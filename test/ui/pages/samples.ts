import type { MatrixFinding } from '../../../src/model/findings.ts';
import type { InspectorSnapshot } from '../../../src/protocol/page.ts';
import type { CheckpointView, MatrixView } from '../../../src/protocol/service.ts';

/** Checkpoints no test machine could hold: only their names, shapes and findings, drawn from a seeded generator. */

/** LLaMA-7B's names and shapes with plausible findings. */
export function llamaSnapshot(layers = 32): InspectorSnapshot {
  const block: readonly (readonly [string, number, number])[] = [
    ['self_attn.q_proj', 4096, 4096],
    ['self_attn.k_proj', 4096, 4096],
    ['self_attn.v_proj', 4096, 4096],
    ['self_attn.o_proj', 4096, 4096],
    ['mlp.gate_proj', 11008, 4096],
    ['mlp.up_proj', 11008, 4096],
    ['mlp.down_proj', 4096, 11008],
  ];
  const matrices: MatrixView[] = [
    { name: 'model.embed_tokens.weight', layer: null, module: 'embed_tokens', shape: [32000, 4096], dtype: 'BF16' },
    ...Array.from({ length: layers }, (_, layer) =>
      block.map(
        ([module, m, n]): MatrixView => ({
          name: `model.layers.${layer}.${module}.weight`,
          layer,
          module,
          shape: [m, n],
          dtype: 'BF16',
        }),
      ),
    ).flat(),
    { name: 'lm_head.weight', layer: null, module: 'lm_head', shape: [32000, 4096], dtype: 'BF16' },
  ];
  return snapshotOf('/models/llama-7b', 'LLaMA', layers, matrices, 7);
}

/** A mixture of experts: `experts` in each of `layers` layers, the first two of which are dense. */
export function expertSnapshot(layers = 24, experts = 32): InspectorSnapshot {
  const matrices: MatrixView[] = [];
  for (let layer = 0; layer < layers; layer++) {
    const add = (module: string, [m, n]: readonly [number, number], expert?: number) =>
      matrices.push({
        name: `model.layers.${layer}.${module}.weight`,
        layer,
        module,
        shape: [m, n],
        dtype: 'BF16',
        ...(expert === undefined ? {} : { expert }),
      });
    for (const part of ['q', 'k', 'v', 'o']) add(`self_attn.${part}_proj`, [2048, 2048]);
    const parts = [
      ['gate', 'in'],
      ['up', 'in'],
      ['down', 'out'],
    ] as const;
    const sizeOf = (side: 'in' | 'out', inner: number) =>
      (side === 'in' ? [inner, 2048] : [2048, inner]) as [number, number];
    // The first layers of such models are often dense.
    if (layer < 2) for (const [part, side] of parts) add(`mlp.${part}_proj`, sizeOf(side, 5632));
    else {
      add('mlp.gate', [experts, 2048]);
      for (let expert = 0; expert < experts; expert++)
        for (const [part, side] of parts) add(`mlp.experts.${expert}.${part}_proj`, sizeOf(side, 1408), expert);
      for (const [part, side] of parts) add(`mlp.shared_experts.${part}_proj`, sizeOf(side, 1408));
    }
  }
  return snapshotOf('/models/experts', 'DeepSeek', layers, matrices, 11);
}

/** `rows` x `columns` cells of unknown modules. */
export function hugeSnapshot(rows = 1000, columns = 100): InspectorSnapshot {
  const matrices: MatrixView[] = [];
  for (let layer = 0; layer < rows; layer++)
    for (let column = 0; column < columns; column++)
      matrices.push({
        name: `blocks.${layer}.part_${column}.weight`,
        layer,
        module: `part_${column}`,
        shape: [64, 64],
        dtype: 'F16',
      });
  return snapshotOf('/models/huge.safetensors', null, rows, matrices, 3);
}

/** Names with no layers in them at all. */
export function looseSnapshot(count = 10_000): InspectorSnapshot {
  const matrices = Array.from(
    { length: count },
    (_, index): MatrixView => ({
      name: `tensor_${index}`,
      layer: null,
      module: `tensor_${index}`,
      shape: [96, 64],
      dtype: 'F32',
    }),
  );
  return snapshotOf('/models/loose.safetensors', null, 0, matrices, 5);
}

/** The singular values a finding of these samples stands for: a power law with a noise floor. */
export function sampleSpectrum({ shape }: MatrixView): number[] {
  const p = Math.min(...shape);
  return Array.from({ length: p }, (_, i) => 30 * (i + 1) ** -0.55 + 1.2 * (1 - i / p) ** 0.5);
}

function snapshotOf(
  path: string,
  family: string | null,
  layers: number,
  matrices: readonly MatrixView[],
  seed: number,
): InspectorSnapshot {
  const random = seeded(seed);
  const tensors = matrices.map(({ name, shape, dtype }) => ({
    name,
    shape,
    dtype,
    bytes: shape[0] * shape[1] * (dtype === 'F32' ? 4 : 2),
  }));
  const checkpoint: CheckpointView = {
    path,
    format: 'safetensors',
    parameters: matrices.reduce((sum, { shape: [m, n] }) => sum + m * n, 0),
    bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    family,
    layers,
    tensors,
    matrices,
    ties: [],
    skipped: [],
    warnings: [],
    security: [],
    metadata: {},
  };
  return {
    checkpoint,
    error: null,
    engine: { name: 'cpu', device: 'CPU', threads: 8, reason: 'no GPU adapter found' },
    findings: matrices.map((matrix) => findingOf(matrix, layers, random())),
    skipped: [],
    run: { status: 'done', done: matrices.length, total: matrices.length, message: '', secondsLeft: null },
    statistics: null,
    smokeTest: null,
    ranks: {},
    selected: null,
  };
}

export function findingOf(matrix: MatrixView, layers: number, noise: number): MatrixFinding {
  const [m, n] = matrix.shape;
  const p = Math.min(m, n);
  const kind =
    [...matrix.module.replace(/\d+/g, '')].reduce((sum, sign) => (sum * 31 + sign.charCodeAt(0)) % 1009, 7) / 1009;
  const depth = (matrix.layer ?? 0) / Math.max(1, layers - 1);
  const share = 0.3 + 0.35 * kind + 0.22 * depth * (1 - kind) + 0.08 * noise;
  const rank = (part: number) => Math.max(1, Math.round(p * Math.min(1, part)));
  return {
    ...matrix,
    provenance: 'exact',
    seconds: 1.4,
    frobeniusNorm: Math.sqrt(m * n) * 0.02 * (1 + noise),
    spectralNorm: 8 * (1 + kind + noise),
    effectiveRank: p * share,
    effectiveRankEnergy: p * share * 0.7,
    stableRank: p * share * 0.08,
    participationRatio: p * share * 0.25,
    numericalRank: p,
    noiseRank: rank(share * 0.2),
    noiseDeviation: 0.02,
    noiseEdge: 0.02 * (Math.sqrt(m) + Math.sqrt(n)),
    optimalThresholdRank: rank(share * 0.4),
    energyRanks: {
      '0.9': rank(share * 0.8),
      '0.95': rank(share * 0.95),
      '0.99': rank(share * 1.2),
      '0.999': rank(share * 1.4),
    },
    breakEvenRank: Math.floor((m * n) / (m + n)),
    alpha: p < 50 ? null : 2 + 3 * kind + noise,
    alphaDistance: p < 50 ? null : 0.05,
  };
}

/** Mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
