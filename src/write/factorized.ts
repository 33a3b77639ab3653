import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import { elementCount } from '../base/shape.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { countParameters, ties as findTies, untied } from '../checkpoint/ties.ts';
import type { FactorStyle } from '../model/factorStyle.ts';
import type { Matrix } from '../model/matrix.ts';
import type { FactorizedReport, Plan } from '../model/plan/plan.ts';
import type { StoredMatrix } from '../model/storedMatrix.ts';
import type { SharedFactors } from '../spectrum/sharedFactors.ts';
import { carriedTensor, changedTensor } from './carried.ts';
import { chosenMatrices } from './chosenMatrices.ts';
import { type FoundFactors, factorTensors } from './factorTensors.ts';
import { factorizedMetadata, type SharedGroup } from './metadata.ts';
import { measureResidual, type WrittenFactors } from './residual.ts';
import { type TensorToWrite, writeSafetensors } from './safetensorsWriter.ts';
import { sharedTensors } from './sharedTensors.ts';
import { refuseStyle, styledTensors } from './styledTensors.ts';

export interface FactorizeRequest {
  readonly checkpoint: Checkpoint;
  /** As returned by `anatomy`. */
  readonly matrices: readonly Matrix[];
  readonly plan: Plan;
  /**
   * The `rank` leading triplets of a matrix, or two factors of this rank, in [out, in] terms, however it is stored.
   * Called for one matrix at a time.
   */
  readonly factorsOf: (matrix: StoredMatrix, rank: number, signal?: AbortSignal) => Promise<FoundFactors>;
  /** The factors of matrices that share one of them; only for a plan with such groups. */
  readonly sharedFactorsOf?: (group: SharedGroup, rank: number, signal?: AbortSignal) => Promise<SharedFactors>;
  /** Other values of tensors that the plan does not cut, such as trained norms, by name. */
  readonly changed?: ReadonlyMap<string, Float32Array>;
  /**
   * Relative Frobenius error of factors as written, for a device that multiplies faster than `measureResidual`, the
   * default.
   */
  readonly residualOf?: (matrix: StoredMatrix, factors: WrittenFactors, signal?: AbortSignal) => Promise<number>;
  /** How the factors are called; our own names by default. */
  readonly style?: FactorStyle;
  /** Groups of tied tensors; by default those that share storage. */
  readonly ties?: readonly (readonly string[])[];
  readonly out: string;
  readonly overwrite: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Receives the number of tensors written, the total, and the name of the current tensor. */
  readonly progress?: ((done: number, total: number, name: string) => void) | undefined;
}

/**
 * Writes the checkpoint with the planned matrices as factors, all other tensors byte for byte (decoded to F32 if
 * safetensors lacks their type), and tied tensors once. Memory: the factors of one matrix, or of the matrices of a few
 * groups that share, and a few pieces.
 * @throws RankscopeError 'wrong-use' for a plan that does not fit the checkpoint, and what `writeSafetensors` throws.
 */
export async function writeFactorized(request: FactorizeRequest): Promise<FactorizedReport> {
  const { checkpoint, plan, factorsOf, out, signal } = request;
  const groups = request.ties ?? findTies(checkpoint.tensors);
  const kept = untied(checkpoint.tensors, groups);
  const chosen = chosenMatrices({ ...request, ties: groups });
  const { style = 'rankscope' } = request;
  refuseStyle(style, plan, [...chosen.values()], groups);
  const measured = new Map<string, number>();
  const measure = async (matrix: StoredMatrix, factors: WrittenFactors) => {
    measured.set(matrix.name, await (request.residualOf ?? measureResidual)(matrix, factors, signal));
  };
  const shared = new Map<string, ReturnType<typeof sharedTensors>>();
  const tensorsOf = (group: SharedGroup, rank: number) => {
    if (!request.sharedFactorsOf) throw notOnInputs(out);
    const load = () => request.sharedFactorsOf!(group, rank, signal);
    return sharedTensors(group, rank, { load, written: measure });
  };

  const toWrite: TensorToWrite[] = [];
  for (const tensor of kept) {
    const planned = chosen.get(tensor.name);
    const values = planned ? undefined : request.changed?.get(tensor.name);
    if (values) {
      toWrite.push(changedTensor(tensor, values));
      continue;
    }
    if (!planned) {
      toWrite.push(...(tensor.derived?.parts ?? [tensor]).map(carriedTensor));
      continue;
    }
    const { matrix, rank, group } = planned;
    if (group) {
      if (!shared.has(group.name)) shared.set(group.name, tensorsOf(group, rank));
      toWrite.push(...shared.get(group.name)!.get(matrix.name)!);
      continue;
    }
    const load = async () => {
      throwIfCancelled(signal, out);
      return factorsOf(matrix, rank, signal);
    };
    const written = (factors: WrittenFactors) => measure(matrix, factors);
    toWrite.push(...factorTensors(matrix, rank, plan.request.factors, load, written));
  }

  const bytesAfter = await writeSafetensors({
    out,
    tensors: styledTensors(toWrite, [...chosen.values()], style),
    metadata: factorizedMetadata(checkpoint, plan, [...chosen.values()], groups, style),
    sources: checkpoint.files.map(({ path }) => path),
    overwrite: request.overwrite,
    signal,
    progress: (done, name) => request.progress?.(done, toWrite.length, name),
  });
  const lost = [...chosen.values()].reduce(
    (sum, { matrix }) => sum + elementCount(matrix.shape) * measured.get(matrix.name)! ** 2,
    0,
  );
  return {
    out,
    measuredError: Math.sqrt(lost / Math.max(1, plan.totals.parametersBefore)),
    parametersBefore: countParameters(checkpoint.tensors, groups),
    parametersAfter: toWrite.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    bytesBefore: checkpoint.bytes,
    bytesAfter,
    matrices: [...chosen.values()].map(({ matrix, rank, predictedError }) => ({
      name: matrix.name,
      rank,
      predictedError,
      measuredError: measured.get(matrix.name)!,
    })),
  };
}

function notOnInputs(out: string): RankscopeError {
  return new RankscopeError(
    'wrong-use',
    out,
    'the plan has factors that matrices share, which are found from the weights alone',
    'Apply it without a calibration, or make a plan without shared factors',
  );
}
