import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import type { Tensor } from '../checkpoint/tensor.ts';
import { expertOfStack } from '../model/names/moduleOfWeight.ts';
import type { StoredMatrix } from '../model/storedMatrix.ts';
import type { SharedFactors } from '../spectrum/sharedFactors.ts';
import { carriedTensor, changedTensor } from './carried.ts';
import { type DenseFactors, truncatedTensor } from './dense.ts';
import type { FactorType } from './encode.ts';
import { denseExpert, type ExpertStack, expertStacks } from './expertStacks.ts';
import { type FoundFactors, factorTensors } from './factorTensors.ts';
import type { Chosen, SharedGroup } from './metadata.ts';
import { measureResidual, type WrittenFactors } from './residual.ts';
import type { TensorToWrite } from './safetensorsWriter.ts';
import { sharedTensors } from './sharedTensors.ts';

/** What is written in place of one tensor, whole or not at all; its tensors follow each other in the file. */
export interface TensorGroup {
  /** The name of the tensor in the checkpoint. */
  readonly name: string;
  readonly tensors: readonly TensorToWrite[];
}

/** How tensors are written. */
export interface TensorForm {
  readonly factors: 2 | 3;
  /** For all floating-point tensors; null keeps the type of each, and writes quantized ones in BF16. */
  readonly dtype: FactorType | null;
  /** Multiplies factors out to W' in the order in which the matrix is stored, if it takes the place of W. */
  readonly denseOf?: DenseFactors | undefined;
  /**
   * The `rank` leading triplets of a matrix, or two factors of this rank, in [out, in] terms, however it is stored.
   * Called for one matrix at a time.
   */
  readonly factorsOf: (matrix: StoredMatrix, rank: number, signal?: AbortSignal) => Promise<FoundFactors>;
  /** The factors of matrices that share one of them; only for a plan with such groups. */
  readonly sharedFactorsOf?:
    | ((group: SharedGroup, rank: number, signal?: AbortSignal) => Promise<SharedFactors>)
    | undefined;
  /** Other values of tensors that the plan does not cut, such as trained norms, by name. */
  readonly changed?: ReadonlyMap<string, Float32Array> | undefined;
  /**
   * Relative Frobenius error of factors as written, for a device that multiplies faster than `measureResidual`, the
   * default.
   */
  readonly residualOf?:
    | ((matrix: StoredMatrix, factors: WrittenFactors, signal?: AbortSignal) => Promise<number>)
    | undefined;
  /** Receives the error of each matrix as written. */
  readonly measured: (name: string, error: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * What takes the places of `tensors`: the factors of the chosen matrices or W' itself, and all others as they are.
 * @param chosen by name
 */
export function tensorGroups(
  tensors: readonly Tensor[],
  chosen: ReadonlyMap<string, Chosen>,
  form: TensorForm,
): TensorGroup[] {
  const byTensor = new Map<string, Chosen[]>();
  for (const each of chosen.values()) {
    const { tensorName } = each.matrix;
    byTensor.set(tensorName, [...(byTensor.get(tensorName) ?? []), each]);
  }
  const shared = sharedGroups(form);
  return tensors.map((tensor): TensorGroup => {
    const { name } = tensor;
    const cuts = byTensor.get(name);
    const values = form.changed?.get(name);
    if (cuts && form.denseOf) {
      const factorsOf = (cut: Chosen) => shared.factorsOf(cut) ?? form.factorsOf(cut.matrix, cut.rank, form.signal);
      return { name, tensors: [truncatedTensor(tensor, cuts, { ...form, denseOf: form.denseOf, factorsOf })] };
    }
    const [stack] = cuts ? expertStacks(cuts) : [];
    if (cuts && stack) return { name, tensors: expertsIn(tensor, cuts, stack, form) };
    if (cuts) return { name, tensors: cuts.flatMap((cut) => shared.tensorsOf(cut) ?? factorsIn(cut, form)) };
    if (values) return { name, tensors: [changedTensor(tensor, values)] };
    return { name, tensors: (tensor.derived?.parts ?? [tensor]).map((part) => carriedTensor(part, form.dtype)) };
  });
}

/** What takes the places of matrices that share a factor; undefined for a matrix that does not. */
function sharedGroups(form: TensorForm) {
  const { sharedFactorsOf, residualOf = measureResidual, measured, dtype, signal } = form;
  const loader = (group: SharedGroup) => {
    if (!sharedFactorsOf)
      throw new RankscopeError(
        'wrong-use',
        group.name,
        'its matrices share a factor, which is not looked for here',
        'Make a plan without shared factors',
      );
    return (rank: number) => sharedFactorsOf(group, rank, signal);
  };
  const written = async (matrix: StoredMatrix, factors: WrittenFactors) =>
    measured(matrix.name, await residualOf(matrix, factors, signal));
  const made = new Map<SharedGroup, ReturnType<typeof sharedTensors>>();
  // Only the latest is kept: the matrices of a group mostly follow each other.
  let latest: { readonly group: SharedGroup; readonly found: Promise<SharedFactors> } | undefined;
  return {
    tensorsOf({ matrix, rank, group }: Chosen): TensorToWrite[] | undefined {
      if (!group) return undefined;
      const load = loader(group);
      const known = made.get(group) ?? sharedTensors(group, rank, { load: () => load(rank), written }, dtype);
      made.set(group, known);
      return known.get(matrix.name);
    },
    factorsOf({ matrix, rank, group }: Chosen): Promise<WrittenFactors> | undefined {
      if (!group) return undefined;
      if (latest?.group !== group) latest = { group, found: loader(group)(rank) };
      return latest.found.then(({ a, b }) => ({ rank, a, b: b[group.matrices.indexOf(matrix)]! }));
    },
  };
}

/** Every expert of a stack: its factors, or its weight where it stays dense. */
function expertsIn(tensor: Tensor, cuts: readonly Chosen[], stack: ExpertStack, form: TensorForm): TensorToWrite[] {
  const isTurned = cuts.some(({ matrix }) => matrix.transposed);
  const cutOf = new Map(cuts.map((cut) => [expertOfStack(cut.matrix.name)!.expert, cut]));
  return stack.ranks.flatMap((_, expert) => {
    const cut = cutOf.get(expert);
    return cut ? factorsIn(cut, form) : [denseExpert(tensor, expert, isTurned, form.dtype)];
  });
}

function factorsIn({ matrix, rank }: Chosen, form: TensorForm): TensorToWrite[] {
  const { signal, factorsOf, residualOf = measureResidual, measured } = form;
  const load = async () => {
    throwIfCancelled(signal, matrix.name);
    return factorsOf(matrix, rank, signal);
  };
  const written = async (factors: WrittenFactors) => measured(matrix.name, await residualOf(matrix, factors, signal));
  return factorTensors(matrix, rank, form, load, written);
}
