import { RankscopeError } from '../base/errors.ts';
import type { Network } from './network.ts';
import { allFinite } from './operations/allFinite.ts';
import { type Linear, linear } from './operations/linear.ts';
import { type Norm, normalized } from './operations/norm.ts';
import type { Rows } from './operations/rows.ts';
import type { Run } from './operations/run.ts';
import { softCap } from './operations/softCap.ts';

/** The logits of some positions of a window, in the dense network and in each variant. */
export interface LogitSlice {
  /** Index of the window. */
  readonly window: number;
  /** Position of the first row in its window. */
  readonly first: number;
  readonly rows: number;
  readonly vocabulary: number;
  /** Row-major, rows x vocabulary: of the dense network first, then of the variants in their order. */
  readonly logits: readonly Float32Array[];
}

/** Logits at a time over all variants: 64 MB. */
const AT_ONCE = 2 ** 24;

/** The module of the head: the embedding if they are tied. @throws RankscopeError 'malformed' without one */
export function headModule({ decoder, modules, weights, prefix }: Network): string {
  const embedding = prefix + modules.embedding;
  if (decoder.head.tied === true) return embedding;
  const own = weights.prefixOf(modules.head);
  if (own !== undefined) return own + modules.head;
  if (decoder.head.tied === null) return embedding;
  throw weights.missing(`${modules.head}.weight`);
}

/** The residual streams behind the last block, of the dense network and of each variant, with the head of each. */
export interface HeadInput {
  readonly streams: readonly Rows[];
  readonly heads: readonly Linear[];
  /** What stands between the last block and the head. */
  readonly norm: Norm | undefined;
  readonly projection: Linear | undefined;
  /** Lengths of the windows in the rows, and the index of the first of them. */
  readonly lengths: readonly number[];
  readonly firstWindow: number;
}

/**
 * Hands the logits of all windows to `take`, a slice of a window at a time.
 * @throws RankscopeError 'not-finite' if a logit is NaN or infinite
 */
export async function passHead(
  { decoder, weights }: Network,
  run: Run,
  { streams, heads, norm, projection, lengths, firstWindow }: HeadInput,
  take: (slice: LogitSlice) => Promise<void> | void,
): Promise<void> {
  const vocabulary = heads[0]!.outputs;
  const height = Math.max(1, Math.floor(AT_ONCE / (vocabulary * streams.length)));
  let row = 0;
  for (const [k, length] of lengths.entries()) {
    const window = firstWindow + k;
    for (let first = 0; first < length; first += height) {
      const rows = Math.min(height, length - first);
      const logits: Float32Array[] = [];
      for (const [s, { cols, values }] of streams.entries()) {
        const own = values.subarray((row + first) * cols, (row + first + rows) * cols);
        const stream = { rows, cols, values: own };
        const input = norm ? normalized(stream, norm) : stream;
        const projected = projection ? await linear(run, input, [projection]) : [input];
        const [out] = await linear(run, projected[0]!, [heads[s]!]);
        finish(out!.values, decoder.head);
        if (!allFinite(out!.values)) {
          const found = `a logit of window ${window + 1} is NaN or infinite`;
          throw new RankscopeError(
            'not-finite',
            weights.subject,
            found,
            'The weights are damaged or too large for f32',
          );
        }
        logits.push(out!.values);
      }
      await take({ window, first, rows, vocabulary, logits });
    }
    row += length;
  }
}

function finish(logits: Float32Array, head: Network['decoder']['head']): void {
  if (head.scale !== 1) for (let i = 0; i < logits.length; i++) logits[i]! *= head.scale;
  if (head.softCap !== null) softCap(logits, head.softCap);
}
