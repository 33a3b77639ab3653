import { RankscopeError } from '../base/errors.ts';
import { elementCount } from '../base/shape.ts';
import { type FactorStyle, factorNames } from '../model/factorStyle.ts';
import { expertOfStack, moduleOfWeight } from '../model/names/moduleOfWeight.ts';
import type { Plan } from '../model/plan/plan.ts';
import type { StoredMatrix } from '../model/storedMatrix.ts';
import type { Chosen } from './metadata.ts';
import type { TensorToWrite } from './safetensorsWriter.ts';
import { transposed } from './transposed.ts';

/**
 * The tensors of a factorized checkpoint under the names of another style, in the shapes of its layers: kernels of
 * convolutions have their sizes, and an embedding is a smaller one before a linear layer.
 */
export function styledTensors(
  tensors: readonly TensorToWrite[],
  chosen: readonly Chosen[],
  style: FactorStyle,
): TensorToWrite[] {
  if (style === 'rankscope') return [...tensors];
  const changes = new Map(chosen.flatMap((each) => changesOf(each, style)));
  return tensors.map((tensor) => changes.get(tensor.name)?.(tensor) ?? tensor);
}

type Change = readonly [name: string, change: (tensor: TensorToWrite) => TensorToWrite];

function changesOf({ matrix, rank }: Chosen, style: FactorStyle): Change[] {
  const module = moduleOfWeight(matrix.name);
  const [own, names] = [factorNames(module, 'rankscope'), factorNames(module, style)];
  const renamed = (name: string, shape?: readonly number[]) => (tensor: TensorToWrite) => ({
    ...tensor,
    name,
    shape: shape ?? tensor.shape,
  });
  const bias: Change = [own.bias, renamed(names.bias)];
  if (isEmbedding(matrix))
    // Rows of B are looked up first, and pass through A^T.
    return [
      [own.up, renamed(names.down)],
      [own.down, (tensor) => transposed({ ...tensor, name: names.up })],
    ];
  const [, , ...kernel] = matrix.tensor.shape;
  const [out, input] = matrix.shape;
  const shapes =
    kernel.length > 0
      ? [
          [rank, input / elementCount(kernel), ...kernel],
          [out, rank, ...kernel.map(() => 1)],
        ]
      : [];
  return [[own.down, renamed(names.down, shapes[0])], [own.up, renamed(names.up, shapes[1])], bias];
}

const isEmbedding = ({ role, tensor }: StoredMatrix) =>
  tensor.shape.length === 2 && (role === 'embedding' || role === 'position');

/** @throws RankscopeError 'wrong-use' for a plan whose factors the style has no layers for */
export function refuseStyle(
  style: FactorStyle,
  plan: Plan,
  chosen: readonly Chosen[],
  ties: readonly (readonly string[])[],
): void {
  if (style === 'rankscope') return;
  if (plan.request.factors !== 2)
    throw new RankscopeError('wrong-use', style, 'this style has two factors, the plan three', 'Add --factors 2');
  const tied = new Set(ties.flat());
  for (const { matrix, group } of chosen) {
    const reason = unfit(matrix, style, group !== undefined, tied.has(matrix.tensorName));
    if (reason === undefined) continue;
    const glob = expertOfStack(matrix.name) ? `${matrix.tensorName}*` : matrix.name;
    const remedy = `Exclude it from the plan: --exclude '${glob}'`;
    throw new RankscopeError('wrong-use', matrix.name, `the style ${style} has no layer for it: ${reason}`, remedy);
  }
}

function unfit(matrix: StoredMatrix, style: FactorStyle, isShared: boolean, isTied: boolean): string | undefined {
  const { tensor, transposed: isTurned, shape } = matrix;
  if (expertOfStack(matrix.name)) return 'it is an expert of a stack, which is one tensor';
  if (isShared) return 'it shares a factor with others';
  if (isTied) return 'its weight is tied to that of another layer';
  if (tensor.shape.length > 2 && (isTurned || tensor.shape[0] !== shape[0])) return 'its kernel is stored otherwise';
  if (!/\.weight$/.test(matrix.name)) return 'it is not the weight of a layer';
  if (style === 'sequential') return undefined;
  if (tensor.shape.length > 2) return 'it is a convolution';
  return isEmbedding(matrix) ? 'it is an embedding' : undefined;
}
