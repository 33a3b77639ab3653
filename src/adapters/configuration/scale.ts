import { loraScale } from '../../model/plan/rankCost.ts';
import type { AdapterPair } from '../pairs.ts';
import { sizesOf } from '../parts.ts';
import { type AdapterConfiguration, configurationOf, patterned, undecided } from './adapterConfiguration.ts';

/**
 * The scale of a pair's product in the update: alpha / r, or alpha / sqrt r with rsLoRA; a text if a configuration
 * leaves it unknown. `ownAlpha` is the alpha stored beside the pair itself (kohya) and takes precedence over any
 * configuration; without either the scale is 1.
 */
export function adapterScale(
  pair: Pick<AdapterPair, 'target' | 'parameter' | 'factorRank' | 'stored'>,
  configurations: readonly AdapterConfiguration[],
  ownAlpha?: number,
): number | string {
  const { target, parameter, factorRank, stored } = pair;
  if (stored.kind === 'computed') return 1;
  // For a Kronecker product of whole matrices, LyCORIS sets alpha to the rank.
  if (ownAlpha !== undefined) return factorRank === undefined ? 1 : ownAlpha / factorRank;
  const configuration = configurationOf(target, configurations);
  if (!configuration) return 1;
  if (configuration.refusal !== undefined) return configuration.refusal;
  if (configuration.scale !== undefined) return configuration.scale;
  const { prefix, alphaPattern, rankPattern, convolutionAlpha, rankStabilized } = configuration;
  const name = (parameter ?? target).slice(prefix.length);
  const isKernel = stored.kind === 'lora' && stored.product.down.tensor.shape.length > 2;
  const ownPattern = patterned(alphaPattern, name);
  if (typeof ownPattern === 'object') return undecided(ownPattern, configuration);
  const alpha = ownPattern ?? (isKernel ? convolutionAlpha : undefined) ?? configuration.alpha;
  const ranked = factorRank ?? patterned(rankPattern, name) ?? configuration.rank;
  if (typeof ranked === 'object') return undecided(ranked, configuration);
  if (ranked === undefined || alpha === undefined) return 1;
  // AdaLoRA avoids a division by zero this way.
  if (stored.kind === 'lora' && stored.product.singular && configuration.settings.peft_type !== 'LORA')
    return (alpha > 0 ? alpha : ranked) / (ranked + 1e-5);
  if (configuration.scalesEach && stored.kind === 'loha' && !stored.first.core)
    return alpha ** 2 / Math.sqrt(sizesOf(stored.first).rank * sizesOf(stored.second).rank);
  return loraScale(alpha, ranked, rankStabilized);
}
