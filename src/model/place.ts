import type { Place } from './findings.ts';

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
