import { RankscopeError } from '../../base/errors.ts';
import { formatBytes } from '../../base/quantities.ts';
import type { BlockLinear } from '../configuration/architectures.ts';
import type { Network } from '../network.ts';
import { type BlockMemory, blockParts, innerOf, parametersOf } from '../passMemory.ts';
import type { RefinementRequest } from './refinement.ts';

/**
 * Bytes on the device while a block is refined, from shapes alone: its weights with all of its experts, the factors
 * with their gradients and moments, and what one batch leaves behind for its gradients.
 * @param ranks of the layers that are factors, by the names of their modules
 * @param rows of the largest batch
 */
export function refinementMemory(
  network: Network,
  layer: number,
  ranks: ReadonlyMap<string, number>,
  rows: number,
): BlockMemory {
  const block = blockParts(network, layer);
  const { parts, experts, named } = block;
  const ofExperts = new Set(experts.flat());
  // The dense block stays beside the factors; an expert is read as what it is.
  let [weights, factors, ofTokens, ofExpert] = [parametersOf([...parts.values()]), 0, 0, 0];
  for (const [name, stored] of named) {
    const rank = ranks.get(name);
    const isExpert = ofExperts.has(stored);
    if (rank !== undefined) {
      factors += rank * (stored.outputs + stored.inputs);
      if (isExpert) ofExpert = Math.max(ofExpert, rank);
      else ofTokens += rank;
    } else if (isExpert) weights += parametersOf([stored]);
  }
  const { feedForward, attention } = network.decoder.layers[layer]!;
  const { experts: mixture } = feedForward;
  const { heads, headSize } = attention;
  const inner = innerOf(block);
  const { width } = network.decoder;
  const expert = mixture ? mixture.used * (2 * width + 5 * inner + 3 * ofExpert) : 0;
  const activations = activationsOf(network, layer, parts, inner) + ofTokens + expert;
  // Of each norm the weights and biases, their gradients and moments.
  const norms = 6 * 2 * 4 * Math.max(width, heads * headSize);
  return { layer, weights: 4 * (weights + 4 * factors + norms), activations: 4 * rows * activations };
}

/** @throws RankscopeError 'too-large' with the bytes that are missing */
export function refuseIfTooLargeToRefine({ network, backend, layer, factors, ...request }: RefinementRequest): void {
  const inputsOf = blockParts(network, layer).named;
  const ranks = new Map(
    [...factors].map(([name, { a }]) => [name, Math.ceil(a.length / (inputsOf.get(name)?.inputs ?? 1))]),
  );
  const rows = Math.max(...[...request.inputs, ...request.heldOut.inputs].map((batch) => batch.rows));
  const { weights, activations } = refinementMemory(network, layer, ranks, rows);
  if (weights + activations <= backend.capacity) return;
  const [needed, ...parts] = [weights + activations, weights, activations, backend.capacity].map(formatBytes);
  throw new RankscopeError(
    'too-large',
    network.weights.subject,
    `refining block ${layer + 1} needs ${needed}, ${parts[0]} for its weights and ${parts[1]} for ${rows} tokens; the ${backend.info.name} engine has ${parts[2]}`,
    'Use shorter windows, an engine with more memory, or no refinement',
  );
}

/**
 * Numbers of a row that wait for the gradients of a block, with those that are held while gradients pass back. Each
 * norm keeps what it read and each layer its inputs, an activation both of its own.
 */
function activationsOf(
  { decoder: { width, parallel, layers } }: Network,
  layer: number,
  parts: ReadonlyMap<BlockLinear, unknown>,
  inner: number,
): number {
  const { attention, feedForward } = layers[layer]!;
  const queries = attention.heads * attention.headSize;
  const all = queries + 2 * attention.keyHeads * attention.headSize;
  const attended = 3 * width + 2 * all + queries;
  const fused = parts.has('queryKeyValue') ? all : 0;
  const within = feedForward.experts ? 0 : inner;
  const shared = parts.has('sharedDown') ? 4 * inner : 0;
  const fed = 3 * width + (parts.has('gateUp') ? 5 : 3) * within + shared + (feedForward.experts?.count ?? 0);
  const back = 2 * width + Math.max(2 * within, all + queries + fused);
  return width + attended + (parallel ? 2 * width : 0) + fed + back;
}
