import type { Place } from './findings.ts';
import { compareStacks } from './names/stackLabels.ts';

/** The place alone, of anything that has one. */
export function placeOf({ stack, layer, module }: Place): Place {
  return { ...(stack === undefined ? {} : { stack }), layer, module };
}

export function isSamePlace(a: Place, b: Place): boolean {
  return a.layer === b.layer && a.module === b.module && a.stack === b.stack;
}

/** `Layer 3`, or `Layer 3 of vision` where there are several stacks. */
export function layerText({ stack, layer }: { readonly stack?: string | undefined; readonly layer: number }): string {
  return stack === undefined ? `Layer ${layer}` : `Layer ${layer} of ${stack}`;
}

/** `Layer 3 of vision, attn.qkv`; the module alone outside the layers. */
export function placeText({ stack, layer, module }: Place): string {
  return layer === null ? module : `${layerText({ stack, layer })}, ${module}`;
}

/** Stacks that are listed by name at most: a U-Net or a ResNet has many. */
const LISTED_STACKS = 4;

/** The network of a checkpoint as its layers show it. */
interface Layered {
  readonly matrices: readonly Place[];
  /** The number of layers where there is only one stack. */
  readonly layers: number;
}

/**
 * The number of layers, with those of each stack where there are several: `60 layers (vision 32, text 28)`.
 * @param named whether the word follows the number.
 */
export function layerCount({ matrices, layers }: Layered, named = false): string {
  const counted = (count: number) => (named ? `${count} layer${count === 1 ? '' : 's'}` : `${count}`);
  const stacks = new Map<string, Set<number>>();
  for (const { stack, layer } of matrices) {
    if (stack === undefined || layer === null) continue;
    const own = stacks.get(stack) ?? new Set();
    stacks.set(stack, own.add(layer));
  }
  if (stacks.size === 0) return counted(layers);
  const all = [...stacks.values()].reduce((sum, { size }) => sum + size, 0);
  if (stacks.size > LISTED_STACKS) return `${counted(all)} in ${stacks.size} stacks`;
  const each = [...stacks].sort(([a], [b]) => compareStacks(a, b)).map(([stack, { size }]) => `${stack} ${size}`);
  return `${counted(all)} (${each.join(', ')})`;
}
