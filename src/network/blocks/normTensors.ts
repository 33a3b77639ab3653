import { RankscopeError } from '../../base/errors.ts';
import type { BlockNorm } from '../configuration/architectures.ts';
import type { Network } from '../network.ts';
import type { Norm } from '../operations/norm.ts';

/**
 * The tensors that hold these norms of a block, by name: without the decoder's offset, and for a norm of heads that are
 * stored one by one, in as many parts. The reverse of what `readBlock` does.
 */
export function normTensors(
  { decoder, modules, prefix }: Pick<Network, 'decoder' | 'modules' | 'prefix'>,
  layer: number,
  norms: Readonly<Partial<Record<BlockNorm, Norm>>>,
): Map<string, Float32Array> {
  const path = `${prefix}${modules.layers}.${layer}.`;
  const { offset } = decoder.norm;
  const { headSize } = decoder.layers[layer]!.attention;
  const tensors = new Map<string, Float32Array>();
  for (const [part, { weight, bias }] of Object.entries(norms) as [BlockNorm, Norm][]) {
    const module = modules.norms[part];
    if (module === undefined) throw new RankscopeError('engine', path, `has no norm ${part}`);
    if (module.includes('#')) {
      for (let head = 0; head * headSize < weight.length; head++)
        tensors.set(
          `${path}${module.replace('#', String(head))}.weight`,
          weight.slice(head * headSize, (head + 1) * headSize),
        );
      continue;
    }
    tensors.set(
      `${path}${module}.weight`,
      weight.map((value) => value - offset),
    );
    if (bias) tensors.set(`${path}${module}.bias`, Float32Array.from(bias));
  }
  return tensors;
}
