import type { CompressedBlock, CompressionMethod } from '../../model/compression.ts';
import type { Plan } from '../../model/plan/plan.ts';

/** How a plan and its blocks came about. */
export function methodOf(
  { request, sensitivities }: Plan,
  { ridge, steps, rate, seed }: { ridge: number; steps: number; rate: number; seed: number },
): CompressionMethod {
  return {
    spread: request.spread === 'loss' ? 'loss' : 'activations',
    measured: sensitivities?.divergences?.measured ?? 0,
    filledIn: sensitivities?.divergences?.filledIn ?? 0,
    measureTokens: sensitivities?.divergences?.tokens ?? 0,
    ridge,
    refinement: steps > 0 ? { steps, rate } : null,
    seed,
  };
}

/** One sentence for the blocks that were not refined, although it was asked for. */
export function fallbackNotes(blocks: readonly CompressedBlock[]): string[] {
  const reasons = new Map<string, number[]>();
  for (const { layer, refined, reason, cut } of blocks) {
    if (refined || reason === null || cut === 0) continue;
    reasons.set(reason, [...(reasons.get(reason) ?? []), layer + 1]);
  }
  return [...reasons].map(([reason, layers]) => {
    const which = layers.length === 1 ? `Block ${layers[0]} stays` : `Blocks ${layers.join(', ')} stay`;
    return `${which} as truncated: ${reason}.`;
  });
}
