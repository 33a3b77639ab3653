import type { Tensor } from '../checkpoint/tensor.ts';
import { factorOf } from './factor.ts';
import type { AdapterPair, AdapterPairs } from './pairs.ts';
import { widthOf } from './parts.ts';

/**
 * The pairs in a bare list of factors, as cloneofsimo's lora saves it in `.pt`: up (m x r), down (r x n), up, down and
 * so on, identified only by position. The list must consist of such pairs throughout, each with a rank below both of
 * its sides; otherwise any two matrices that can be multiplied would pass.
 */
export function findListedPairs(tensors: readonly Tensor[]): AdapterPairs | undefined {
  if (tensors.length === 0 || tensors.length % 2 !== 0) return undefined;
  const byPlace = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const pairs: AdapterPair[] = [];
  for (let place = 0; place < tensors.length; place += 2) {
    const up = byPlace.get(String(place));
    const down = byPlace.get(String(place + 1));
    const rank = down?.shape[0];
    if (!up || !down || rank === undefined || up.shape[1] !== rank) return undefined;
    if (up.shape.length < 2 || down.shape.length !== up.shape.length) return undefined;
    const shape = [up.shape[0]!, widthOf(down)] as const;
    if (rank >= shape[0] || rank >= shape[1]) return undefined;
    const product = { up: factorOf(up), down: factorOf(down) };
    pairs.push({
      target: `pair.${place / 2}`,
      stored: { kind: 'lora', product },
      shape,
      rank,
      factorRank: rank,
    });
  }
  return { naming: 'cloneofsimo', pairs, refused: [] };
}
