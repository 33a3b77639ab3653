import type { InputFactor } from '../../activations/statistics.ts';
import type { SeenSharing } from '../../spectrum/sharedOnSeen.ts';
import type { SharedGroup } from '../../write/metadata.ts';
import { shrinkageOf } from '../activations/seen.ts';
import { sharingOf } from './sharingOf.ts';

/** The matrices of a group as they are stored, with the statistics of each. */
export function seenSharing(group: SharedGroup, factors: readonly InputFactor[]): SeenSharing {
  const identities = new Set(factors.map((factor) => JSON.stringify(factor.identity())));
  return {
    ...sharingOf(group),
    seenBy: factors.map((factor) => ({ ...factor, shrinkage: shrinkageOf(factor) })),
    sameInputs: identities.size === 1,
  };
}
