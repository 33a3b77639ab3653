import type { BlockLinear } from '../configuration/architectures.ts';
import type { LayerSettings } from '../configuration/decoder.ts';

type Side = 'width' | 'queries' | 'keys' | 'queriesKeysValues' | 'inner' | 'gateAndUp' | 'sharedInner' | 'experts';

/** The sides of a matrix and in which blocks it is: in all, with a plain feed-forward part, or with experts. */
interface LinearShape {
  readonly outputs: Side;
  readonly inputs: Side;
  readonly blocks: 'all' | 'plain' | 'experts';
}

const shape = (outputs: Side, inputs: Side, blocks: LinearShape['blocks']): LinearShape => ({
  outputs,
  inputs,
  blocks,
});

export const LINEAR_SHAPES: Readonly<Record<BlockLinear, LinearShape>> = {
  query: shape('queries', 'width', 'all'),
  key: shape('keys', 'width', 'all'),
  value: shape('keys', 'width', 'all'),
  queryKeyValue: shape('queriesKeysValues', 'width', 'all'),
  output: shape('width', 'queries', 'all'),
  gate: shape('inner', 'width', 'plain'),
  up: shape('inner', 'width', 'plain'),
  gateUp: shape('gateAndUp', 'width', 'plain'),
  down: shape('width', 'inner', 'plain'),
  router: shape('experts', 'width', 'experts'),
  sharedGate: shape('sharedInner', 'width', 'experts'),
  sharedUp: shape('sharedInner', 'width', 'experts'),
  sharedDown: shape('width', 'sharedInner', 'experts'),
};

/** The sizes that the configuration gives; undefined where it leaves one to the file. */
export function sidesOf({ attention, feedForward }: LayerSettings, width: number): Record<Side, number | undefined> {
  const { heads, keyHeads, headSize } = attention;
  const inner = feedForward.inner ?? undefined;
  return {
    width,
    queries: heads * headSize,
    keys: keyHeads * headSize,
    queriesKeysValues: (heads + 2 * keyHeads) * headSize,
    inner,
    gateAndUp: inner && 2 * inner,
    sharedInner: feedForward.experts?.sharedInner ?? undefined,
    experts: feedForward.experts?.count,
  };
}
