import type { CheckpointSummary } from '../findings.ts';
import { keptShares } from './keptShares.ts';
import type { PlanRequest, PlanTotals } from './plan.ts';
import {
  type Choice,
  denseBytes,
  factorBytes,
  meanLostShare,
  multiplyAddsOf,
  type Options,
  type PlanInput,
  parametersAt,
  rankAt,
  totalParameters,
} from './planOptions.ts';

/** What a plan is for. */
export interface PlannedCheckpoint extends CheckpointSummary {
  /** Bytes of the whole model as `apply` writes it with nothing cut; `bytes` if absent. */
  readonly writtenBytes?: number;
}

/** What the whole model takes with nothing cut. */
interface WholeModel {
  readonly bytes: number;
  readonly multiplyAdds: number;
}

function wholeModel(
  { bytes, writtenBytes = bytes }: PlannedCheckpoint,
  matrices: readonly PlanInput[],
  factors: 2 | 3,
): WholeModel {
  const all = matrices.reduce((total, input) => total + multiplyAddsOf(input, factors).dense, 0);
  return { bytes: writtenBytes, multiplyAdds: all };
}

/** What the budget has to pay for beside the matrices of the plan. */
export function outsideOf(
  checkpoint: PlannedCheckpoint,
  matrices: readonly PlanInput[],
  planned: readonly Options[],
  { budget: { kind }, factors }: PlanRequest,
): number {
  if (kind !== 'bytes' && kind !== 'multiplyAdds') return 0;
  const whole = wholeModel(checkpoint, matrices, factors);
  return Math.max(0, whole[kind] - planned.reduce((total, { cost }) => total + cost.dense, 0));
}

/** @param matrices all of the model; `all` are those that the plan may cut, or groups of them. */
export function totalsOf(
  checkpoint: PlannedCheckpoint,
  matrices: readonly PlanInput[],
  all: readonly Options[],
  choice: Choice,
  factors: 2 | 3,
): PlanTotals {
  const whole = wholeModel(checkpoint, matrices, factors);
  let [bytesBefore, bytesAfter, bytesSaved, multiplyAddsSaved] = [0, 0, 0, 0];
  for (const [k, options] of all.entries()) {
    const { input, dense } = options;
    const parameters = parametersAt(options, choice[k]!);
    const rank = rankAt(options, choice[k]!);
    bytesBefore += dense * input.bytesPerElement;
    bytesAfter += parameters * (rank === null ? denseBytes(input) : factorBytes(input));
    if (rank === null) continue;
    const { dense: own, perRank } = multiplyAddsOf(input, factors);
    bytesSaved += dense * denseBytes(input) - parameters * factorBytes(input);
    multiplyAddsSaved += own - rank * perRank;
  }
  const parametersBefore = all.reduce((parameters, options) => parameters + options.dense, 0);
  const parametersAfter = totalParameters(all, choice);
  return {
    parametersBefore,
    parametersAfter,
    bytesBefore,
    bytesAfter,
    error: Math.sqrt(meanLostShare(all, choice)),
    ...keptShares({ parametersBefore, parametersAfter }, checkpoint.parameters),
    bytesOfModel: whole.bytes - bytesSaved,
    bytesOfModelBefore: whole.bytes,
    multiplyAddsBefore: whole.multiplyAdds,
    multiplyAddsAfter: whole.multiplyAdds - multiplyAddsSaved,
  };
}
