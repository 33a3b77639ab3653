import type { LayerForm } from '../../../adapters/writing/layers.ts';
import type { OtherDifference } from '../../../model/lora/extraction.ts';
import { inTargetSet } from '../../../model/lora/targets.ts';
import type { StoredMatrix } from '../../../model/storedMatrix.ts';
import type { Item, Side } from '../../diff/sides.ts';

/** How LoRA holds the difference of a matrix, or why it does not. */
export type Adaptation = { readonly target: string; readonly form: LayerForm } | { readonly reason: string };

/**
 * @param chosen whether the user named the matrix; embeddings, routers and stems are adapted only then.
 */
export function adaptationOf(item: Item, side: Side, chosen: boolean | undefined): Adaptation {
  const { matrix, tensor } = item;
  if (!matrix) return { reason: 'it is no matrix' };
  if (chosen === false) return { reason: 'it was not chosen' };
  if (matrix.name !== matrix.tensorName) return { reason: 'it is a part of a tensor, and no module of its own' };
  if (!tensor.name.endsWith('.weight')) return { reason: 'it is a parameter, and no module of its own' };
  const { role } = matrix;
  const isLinear = inTargetSet(role, 'all-linear') || (role === 'head' && !side.repeated.has(tensor.name));
  const kernel = tensor.shape.slice(1);
  const isKernel = kernel.length > 1;
  if (!isLinear && role !== 'convolution' && chosen !== true) return { reason: `LoRA by default leaves its kind out` };
  if (isKernel && (matrix.fixed !== null || matrix.transposed || !fits(matrix, kernel)))
    return { reason: matrix.fixed ?? 'it is a kernel that PEFT does not adapt' };
  const target = tensor.name.slice(0, -'.weight'.length);
  if (role === 'embedding' || role === 'position') return { target, form: { kind: 'embedding', kernel: [] } };
  return { target, form: { kind: isKernel ? 'kernel' : 'linear', kernel: isKernel ? kernel : [] } };
}

const fits = ({ shape: [, inputs] }: StoredMatrix, kernel: readonly number[]) =>
  inputs === kernel.reduce((product, size) => product * size, 1);

/** What kind of tensor a difference lies in that no LoRA holds. */
export function kindOf({ name, matrix }: Item): OtherDifference['kind'] {
  if (/(^|[._])bias$/.test(name)) return 'bias';
  const role = matrix?.role;
  if (role === 'embedding' || role === 'position') return 'embedding';
  if (role === 'head' || role === 'router' || role === 'norm') return role;
  return /(norm|(^|[._])ln)\w*\.(weight|scale|gamma|beta)$/i.test(name) || /(^|\.)ln_\w+\.weight$/.test(name)
    ? 'norm'
    : 'other';
}
