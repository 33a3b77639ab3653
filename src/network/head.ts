import { RankscopeError } from '../base/errors.ts';
import type { Matrix } from '../devices/backend.ts';
import type { Network } from './network.ts';
import { allFinite } from './operations/allFinite.ts';
import { type Linear, linear } from './operations/linear.ts';
import type { Norm } from './operations/norm.ts';
import type { Rows } from './operations/rows.ts';
import { type Run, type Scope, withScope } from './operations/run.ts';

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

/** What stands behind the last block of a network. */
export interface Ending {
  readonly head: Linear;
  readonly norm: Norm | undefined;
  /** Between the norm and the head. */
  readonly projection: Linear | undefined;
}

/** What the head reads. */
export function beforeHead(run: Run, stream: Rows, ending: Omit<Ending, 'head'>): Promise<Rows> {
  return withScope(run, async (scope) => scope.download(await headInput(scope, stream, ending)));
}

async function headInput(scope: Scope, stream: Rows, { norm, projection }: Omit<Ending, 'head'>): Promise<Matrix> {
  const x = await scope.upload(stream);
  if (norm) await scope.backend.network.normalize(x, x, norm);
  if (!projection) return x;
  const [projected] = await linear(scope, x, [projection]);
  scope.free(x);
  return projected!;
}

async function logitsOf(
  scope: Scope,
  stream: Rows,
  ending: Ending,
  { scale, softCap }: Network['decoder']['head'],
): Promise<Rows> {
  const [logits] = await linear(scope, await headInput(scope, stream, ending), [ending.head]);
  if (scale !== 1 || softCap !== null) await scope.backend.network.rescale(logits!, scale, softCap);
  return scope.download(logits!);
}

/** The residual streams behind the last block, of the dense network and of each variant, with the ending of each. */
export interface HeadInput {
  readonly streams: readonly Rows[];
  readonly endings: readonly Ending[];
  /** What errors call each of them. */
  readonly names: readonly string[];
  /** Lengths of the windows in the rows, and the index of the first of them. */
  readonly lengths: readonly number[];
  readonly firstWindow: number;
}

/**
 * Hands the logits of all windows to `take`, a slice of a window at a time.
 * @throws RankscopeError 'not-finite' if a logit is NaN or infinite, with the name of the network and the position
 */
export async function passHead(
  { decoder, weights }: Network,
  run: Run,
  { streams, endings, names, lengths, firstWindow }: HeadInput,
  take: (slice: LogitSlice) => Promise<void> | void,
): Promise<void> {
  const vocabulary = endings[0]!.head.outputs;
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
        const { values: out } = await withScope(run, (scope) => logitsOf(scope, stream, endings[s]!, decoder.head));
        if (!allFinite(out)) {
          const at = first + Math.floor(out.findIndex((value) => !Number.isFinite(value)) / vocabulary);
          throw notFinite(weights.subject, names[s]!, window, at);
        }
        logits.push(out);
      }
      await take({ window, first, rows, vocabulary, logits });
    }
    row += length;
  }
}

function notFinite(subject: string, name: string, window: number, position: number): RankscopeError {
  return new RankscopeError(
    'not-finite',
    subject,
    `${name} has a logit that is NaN or infinite, at position ${position + 1} of window ${window + 1}`,
    'The weights are damaged or too large for f32',
  );
}
