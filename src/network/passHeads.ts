import type { Matrix, RowSource } from '../devices/backend.ts';
import type { Batch } from './batches.ts';
import { freeLinear, uploadLinear } from './blocks/deviceLinear.ts';
import type { StoredFactor, StoredLinear } from './blocks/weights.ts';
import { type BeforeHead, beforeHead, headModule, logitsOf } from './head.ts';
import type { Network } from './network.ts';
import { type Linear, linear } from './operations/linear.ts';
import type { Rows } from './operations/rows.ts';
import { type Run, withScope } from './operations/run.ts';
import { readBeforeHead } from './readEnding.ts';
import type { Variant } from './variant.ts';

/** Some columns of the logits of some rows. */
export interface LogitPart {
  /** The first row; the positions of all windows are counted one after the other. */
  readonly row: number;
  /** The first column. */
  readonly column: number;
  readonly vocabulary: number;
  /** rows x columns in device memory, of the dense network first; they are freed when the call is over. */
  readonly logits: readonly Matrix[];
}

/** A network behind the last block. */
export interface HeadStream {
  /** Undefined for the dense network. */
  readonly variant: Variant | undefined;
  /** The residual stream of each batch. */
  readonly batches: readonly Rows[];
}

export interface HeadPass {
  readonly run: Run;
  readonly network: Network;
  readonly batches: readonly Batch[];
  readonly take: (part: LogitPart) => Promise<void> | void;
  /** Receives the share of the head that is passed. */
  readonly progress: (share: number) => void;
}

/** Logits at a time over all networks, and weights of a stripe of a head: 128 MB each. */
const AT_ONCE = 2 ** 25;
/** They take no more than this share of a device's memory. */
const SHARE = 1 / 8;
/** Narrower products are slow. */
const LEAST_COLUMNS = 64;

/** A head with what it reads. */
interface Head {
  readonly name: string;
  /** The last factor of the matrix; what it reads has passed the others. */
  readonly factor: StoredFactor;
  readonly outputs: number;
  readonly bias: Float32Array | undefined;
  readonly settings: Network['decoder']['head'];
  readonly inputs: readonly Rows[];
}

/**
 * Hands all logits to `take`: stripe by stripe of the vocabulary, so that a head of any size takes little memory and is
 * read once, and within a stripe batch by batch.
 */
export async function passHeads(pass: HeadPass, streams: readonly HeadStream[]): Promise<void> {
  const { run, batches, take, progress } = pass;
  const heads = await headsOf(pass, streams);
  const vocabulary = heads[0]!.outputs;
  const height = Math.min(2048, Math.max(...batches.map(({ rows }) => rows)));
  const atOnce = Math.min(AT_ONCE, (run.backend.capacity * SHARE) / 4);
  const columns = heads.some(({ factor }) => factor.transposed)
    ? vocabulary
    : Math.max(LEAST_COLUMNS, Math.floor(atOnce / Math.max(height * heads.length, ...heads.map(widthOf))));
  const rowsAtOnce = Math.max(1, Math.min(height, Math.floor(atOnce / (Math.min(columns, vocabulary) * heads.length))));
  for (let column = 0; column < vocabulary; column += columns) {
    const stripes = await uploadStripes(pass, heads, column, Math.min(columns, vocabulary - column));
    try {
      let row = 0;
      for (const [k, { rows }] of batches.entries()) {
        for (let first = 0; first < rows; first += rowsAtOnce) {
          const count = Math.min(rowsAtOnce, rows - first);
          await withScope(run, async (scope) => {
            const logits: Matrix[] = [];
            for (const [s, head] of heads.entries()) {
              const x = await scope.upload(someRows(head.inputs[k]!, first, count));
              logits.push(await logitsOf(scope, x, stripes[s]!, head.settings));
              scope.free(x);
            }
            await take({ row: row + first, column, vocabulary, logits });
          });
        }
        row += rows;
      }
    } finally {
      for (const stripe of new Set(stripes)) freeLinear(run.backend, stripe);
    }
    progress(Math.min(1, (column + columns) / vocabulary));
  }
}

/** Numbers that the head reads at a position. */
const widthOf = ({ factor: { source, transposed } }: Head) => (transposed ? source.rows : source.cols);

function someRows({ cols, values }: Rows, first: number, rows: number): Rows {
  return { rows, cols, values: values.subarray(first * cols, (first + rows) * cols) };
}

/** Of each network, that of the dense one unless it has its own. */
async function headsOf({ run, network }: HeadPass, streams: readonly HeadStream[]): Promise<Head[]> {
  const heads: Head[] = [];
  // One object for each network, because a head that several share is known by it.
  const dense = new Map<Network, StoredLinear>();
  for (const { variant, batches } of streams) {
    const own = variant?.network ?? network;
    const name = headModule(own);
    const { signal } = run;
    if (!dense.has(own)) dense.set(own, own.weights.linear(name, undefined, own.decoder.embeddingWidth));
    const stored = (await variant?.replaced.get(`${name}.weight`)?.(signal)) ?? dense.get(own)!;
    const bias = await own.weights.vector(`${name}.bias`, [stored.outputs], signal);
    const inputs = await headInputs(run, own, { variant, batches }, name, stored);
    heads.push({
      name,
      factor: stored.factors.at(-1)!,
      outputs: stored.outputs,
      bias,
      settings: own.decoder.head,
      inputs,
    });
  }
  return heads;
}

/** What the last factor of a head reads. */
async function headInputs(
  run: Run,
  network: Network,
  { variant, batches }: HeadStream,
  name: string,
  { inputs, factors }: StoredLinear,
): Promise<Rows[]> {
  const { backend, signal } = run;
  const owned: Linear[] = [];
  try {
    const before: BeforeHead = await readBeforeHead(network, backend, owned, signal, variant);
    const first = factors.slice(0, -1);
    const others: Linear[] = [];
    if (first.length > 0) {
      const { source, transposed } = first.at(-1)!;
      const outputs = transposed ? source.cols : source.rows;
      others.push(await uploadLinear(backend, name, { outputs, inputs, factors: first }, undefined, signal));
    }
    owned.push(...others);
    const read: Rows[] = [];
    for (const rows of batches) {
      const x = await beforeHead(run, rows, before);
      read.push(others.length === 0 ? x : await passed(run, x, others[0]!));
    }
    return read;
  } finally {
    for (const layer of owned) freeLinear(backend, layer);
  }
}

function passed(run: Run, x: Rows, layer: Linear): Promise<Rows> {
  return withScope(run, async (scope) => {
    const [y] = await linear(scope, await scope.upload(x), [layer]);
    return scope.download(y!);
  });
}

/** Some outputs of each head; one that several networks share is uploaded once. */
async function uploadStripes(
  { run: { backend, signal } }: HeadPass,
  heads: readonly Head[],
  column: number,
  columns: number,
): Promise<Linear[]> {
  const known = new Map<RowSource, Linear>();
  try {
    for (const { name, factor, outputs, bias } of heads) {
      const { source, transposed } = factor;
      if (known.has(source)) continue;
      const part = transposed ? source : stripeOf(source, column, columns);
      const inputs = transposed ? source.rows : source.cols;
      const stored = { outputs: transposed ? outputs : columns, inputs, factors: [{ source: part, transposed }] };
      const ownBias = bias?.subarray(column, column + columns);
      known.set(source, await uploadLinear(backend, name, stored, ownBias, signal));
    }
    return heads.map(({ factor }) => known.get(factor.source)!);
  } catch (error) {
    for (const layer of known.values()) freeLinear(backend, layer);
    throw error;
  }
}

/** Some rows of a source. */
function stripeOf(source: RowSource, first: number, rows: number): RowSource {
  const { name, cols, stored } = source;
  return {
    name,
    rows,
    cols,
    read: (row, out, signal) => source.read(first + row, out, signal),
    stored: stored && {
      encoding: stored.encoding,
      read: (row, out, signal) => stored.read(first + row, out, signal),
    },
  };
}
