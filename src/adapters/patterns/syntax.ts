import type { Accepts } from './letters.ts';

/** A parsed regular expression. Letters are code points, as in Python. */
export type Node =
  /** One letter after another, each accepted by its test. */
  | { readonly kind: 'letters'; readonly accepts: readonly Accepts[] }
  | { readonly kind: 'sequence'; readonly parts: readonly Node[] }
  | { readonly kind: 'choice'; readonly options: readonly Node[] }
  | {
      readonly kind: 'repeat';
      readonly node: Node;
      readonly min: number;
      readonly max: number;
      readonly mode: 'greedy' | 'lazy' | 'possessive';
    }
  | { readonly kind: 'group'; readonly index: number; readonly node: Node }
  | { readonly kind: 'atomic'; readonly node: Node }
  /** `width` is that of a look-behind, which Python requires to be fixed. */
  | { readonly kind: 'look'; readonly node: Node; readonly negative: boolean; readonly width: number | undefined }
  | { readonly kind: 'same'; readonly index: number; readonly ignoreCase: boolean }
  | { readonly kind: 'conditional'; readonly index: number; readonly yes: Node; readonly no: Node }
  | { readonly kind: 'place'; readonly holds: PlaceTest };

/** Whether an assertion such as `^` or `\b` holds before the letter at `at`. */
export type PlaceTest = (letters: readonly string[], at: number) => boolean;

/** The least and the largest number of letters that a node matches. */
export function widthOf(node: Node, groups: ReadonlyMap<number, Node>): readonly [number, number] {
  const of = (inner: Node) => widthOf(inner, groups);
  switch (node.kind) {
    case 'letters':
      return [node.accepts.length, node.accepts.length];
    case 'sequence':
      return node.parts.map(of).reduce(([low, high], [least, most]) => [low + least, high + most], [0, 0]);
    case 'choice':
      return widest(node.options.map(of));
    case 'repeat': {
      const [least, most] = of(node.node);
      return [least * node.min, most === 0 ? 0 : most * node.max];
    }
    case 'group':
    case 'atomic':
      return of(node.node);
    case 'same': {
      const group = groups.get(node.index);
      return group ? of(group) : [0, Number.POSITIVE_INFINITY];
    }
    case 'conditional':
      return widest([of(node.yes), of(node.no)]);
    default:
      return [0, 0];
  }
}

function widest(widths: readonly (readonly [number, number])[]): readonly [number, number] {
  return [Math.min(...widths.map(([low]) => low)), Math.max(...widths.map(([, high]) => high))];
}
