import { RankscopeError } from '../../base/errors.ts';
import type { PlanTotals } from '../../model/plan/plan.ts';
import { openNetwork } from '../../network/network.ts';
import type { Opened } from '../checkpoints/opened.ts';

/** Above this share of what may be cut, the weights alone are a fair guide. */
const HARMLESS = 0.95;

/**
 * What users must know of a plan that no text had a part in; undefined where little is cut, or where the network is not
 * one that a text could be passed through. Of SmolLM2-135M, such a plan made a perplexity of 82 of 24 at 0.9 of the
 * layers' parameters, of 2,374 at 0.8, and of 7 million at 0.7.
 */
export async function weightsAlone(
  { checkpoint }: Pick<Opened, 'checkpoint'>,
  { keptShare }: Pick<PlanTotals, 'keptShare'>,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  if (keptShare > HARMLESS) return undefined;
  try {
    await openNetwork(checkpoint, { signal });
  } catch (error) {
    if (error instanceof RankscopeError && error.code !== 'cancelled') return undefined;
    throw error;
  }
  const share = (100 * keptShare).toFixed(0);
  return `These ranks come from the weights alone. At ${share} % of the parameters, such plans ruin most language models (SmolLM2-135M: perplexity 82 at 90 % and 2,374 at 80 %, from 24). Let a text choose them: --spread activations or --spread loss.`;
}
