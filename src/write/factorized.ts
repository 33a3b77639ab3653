import { elementCount } from '../base/shape.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { countParameters, ties as findTies, untied } from '../checkpoint/ties.ts';
import type { FactorStyle } from '../model/factorStyle.ts';
import type { Matrix } from '../model/matrix.ts';
import type { FactorizedReport, Plan } from '../model/plan/plan.ts';
import { chosenMatrices } from './chosenMatrices.ts';
import type { FactorType } from './encode.ts';
import { measuredErrors } from './measuredErrors.ts';
import { factorizedMetadata } from './metadata.ts';
import { writeSafetensors } from './safetensorsWriter.ts';
import { refuseStyle, styledTensors } from './styledTensors.ts';
import { type TensorForm, tensorGroups } from './tensorGroups.ts';

export interface FactorizeRequest extends Pick<TensorForm, 'factorsOf' | 'sharedFactorsOf' | 'changed' | 'residualOf'> {
  readonly checkpoint: Checkpoint;
  /** As returned by `anatomy`. */
  readonly matrices: readonly Matrix[];
  readonly plan: Plan;
  /** How the factors are called; our own names by default. */
  readonly style?: FactorStyle | undefined;
  /** Groups of tied tensors; by default those that share storage. */
  readonly ties?: readonly (readonly string[])[];
  /** For all floating-point tensors; by default each keeps its own, and quantized ones become BF16. */
  readonly dtype?: FactorType | undefined;
  readonly out: string;
  readonly overwrite: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Receives the number of tensors written, the total, and the name of the current tensor. */
  readonly progress?: ((done: number, total: number, name: string) => void) | undefined;
}

/**
 * Writes the checkpoint with the planned matrices as factors, all other tensors byte for byte (decoded if safetensors
 * lacks their type), and tied tensors once. Memory: the factors of one matrix, or of the matrices of a few
 * groups that share, and a few pieces.
 * @throws RankscopeError 'wrong-use' for a plan that does not fit the checkpoint, and what `writeSafetensors` throws.
 */
export async function writeFactorized(request: FactorizeRequest): Promise<FactorizedReport> {
  const { checkpoint, plan, out, dtype = null, signal, factorsOf, sharedFactorsOf, residualOf, changed } = request;
  const groups = request.ties ?? findTies(checkpoint.tensors);
  const chosen = chosenMatrices({ ...request, ties: groups });
  const { style = 'rankscope' } = request;
  refuseStyle(style, plan, [...chosen.values()], groups);
  const measured = new Map<string, number>();
  const toWrite = tensorGroups(untied(checkpoint.tensors, groups), chosen, {
    factors: plan.request.factors,
    dtype,
    ...{ factorsOf, sharedFactorsOf, residualOf, changed, signal },
    measured: (name, error) => measured.set(name, error),
  }).flatMap(({ tensors }) => tensors);
  const bytesAfter = await writeSafetensors({
    out,
    tensors: styledTensors(toWrite, [...chosen.values()], style),
    metadata: factorizedMetadata(checkpoint, plan, [...chosen.values()], groups, style),
    sources: checkpoint.files.map(({ path }) => path),
    overwrite: request.overwrite,
    signal,
    progress: (done, name) => request.progress?.(done, toWrite.length, name),
  });
  return {
    out,
    parametersBefore: countParameters(checkpoint.tensors, groups),
    parametersAfter: toWrite.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    bytesBefore: checkpoint.bytes,
    bytesAfter,
    ...measuredErrors(plan, chosen, measured),
  };
}
