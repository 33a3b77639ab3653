import { RankscopeError } from '../base/errors.ts';
import type { RowSource } from '../devices/backend.ts';
import { freeLinear, uploadLinear } from './blocks/deviceLinear.ts';
import type { StoredLinear } from './blocks/weights.ts';
import { type Network, readProjection } from './network.ts';
import { type Linear, linear } from './operations/linear.ts';
import { emptyRows, type Rows } from './operations/rows.ts';
import { type Run, withScope } from './operations/run.ts';

/** Where the rows of the embedding come from, and what limits reading them. */
export interface Embedding {
  readonly run: Run;
  readonly network: Network;
  readonly table: StoredLinear;
  /** In place of the network's own, if a variant has others. */
  readonly positions?: StoredLinear | undefined;
  readonly projectIn?: StoredLinear | undefined;
  readonly signal: AbortSignal | undefined;
  /** Position of the first token of each window; 0 by default. */
  readonly first?: number | undefined;
}

/**
 * The residual stream before the first block, of windows that follow each other. Each row of the table is read once.
 * @throws RankscopeError 'wrong-use' for a token that the table lacks, or a window longer than the table of positions
 */
export async function embed(embedding: Embedding, windows: readonly ArrayLike<number>[]): Promise<Rows> {
  const { network, table, first = 0 } = embedding;
  const { decoder, modules, prefix, weights } = network;
  const ids = windows.flatMap((window) => Array.from(window));
  const x = await project(embedding, modules.projectIn, await rowsOf(embedding, table, ids));
  if (decoder.embeddingScale !== 1) for (let i = 0; i < x.values.length; i++) x.values[i]! *= decoder.embeddingScale;
  const { positionOffset } = decoder;
  if (modules.positions === undefined || positionOffset === null) return x;
  const positions = embedding.positions ?? weights.linear(prefix + modules.positions, undefined, x.cols);
  const places = windows.flatMap(({ length }) => Array.from({ length }, (_, place) => first + place + positionOffset));
  const p = await rowsOf(embedding, positions, places);
  for (let i = 0; i < x.values.length; i++) x.values[i]! += p.values[i]!;
  return x;
}

/** Applies the projection between embeddings and a residual stream of another width. */
async function project(embedding: Embedding, module: string | undefined, x: Rows): Promise<Rows> {
  const { network, run, signal, projectIn } = embedding;
  const projection = await readProjection(network, run.backend, module, signal, projectIn);
  if (!projection) return x;
  try {
    return await appliedTo(run, x, projection);
  } finally {
    freeLinear(run.backend, projection);
  }
}

function appliedTo(run: Run, x: Rows, layer: Linear): Promise<Rows> {
  return withScope(run, async (scope) => {
    const [y] = await linear(scope, await scope.upload(x), [layer]);
    return scope.download(y!);
  });
}

/** Rows of a table; those of a product are rows of its left factor times the others. */
async function rowsOf(embedding: Embedding, table: StoredLinear, ids: readonly number[]): Promise<Rows> {
  const { run, signal } = embedding;
  const name = table.factors[0]!.source.name;
  const wrong = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < table.outputs));
  if (wrong !== undefined)
    throw new RankscopeError(
      'wrong-use',
      name,
      `has no row ${wrong}, only ${table.outputs} rows`,
      'Check the tokenizer',
    );
  if (table.factors.some(({ transposed }) => transposed))
    throw new RankscopeError('unsupported', name, 'is a table that is stored as its transpose');
  const left = await gather(table.factors.at(-1)!.source, ids, embedding);
  const rest = table.factors.slice(0, -1).reverse();
  if (rest.length === 0) return left;
  // From the left, a factor that is stored as (out, in) is applied as it is stored.
  const factors = rest.map(({ source }) => ({ source, transposed: true }));
  const product = { outputs: table.inputs, inputs: left.cols, factors };
  const right = await uploadLinear(run.backend, name, product, undefined, signal);
  try {
    return await appliedTo(run, left, right);
  } finally {
    freeLinear(run.backend, right);
  }
}

async function gather(source: RowSource, ids: readonly number[], { run, signal }: Embedding): Promise<Rows> {
  const { cols } = source;
  const rows = emptyRows(ids.length, cols);
  const places = new Map<number, number[]>();
  for (const [place, id] of ids.entries()) {
    const own = places.get(id);
    if (own) own.push(place);
    else places.set(id, [place]);
  }
  const row = new Float32Array(cols);
  for (const id of [...places.keys()].sort((a, b) => a - b)) {
    await run.pause();
    await source.read(id, row, signal);
    if (!row.every(Number.isFinite))
      throw new RankscopeError('not-finite', source.name, `row ${id} contains NaN or infinity`);
    for (const place of places.get(id)!) rows.values.set(row, place * cols);
  }
  return rows;
}
