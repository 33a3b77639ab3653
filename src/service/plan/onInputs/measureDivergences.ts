import type { Pause } from '../../../base/eventLoop.ts';
import type { Backend } from '../../../devices/backend.ts';
import { freeLinear, uploadLinear } from '../../../network/blocks/deviceLinear.ts';
import { DenseStreams } from '../../../network/denseStreams.ts';
import { forward } from '../../../network/forward.ts';
import type { Network } from '../../../network/network.ts';
import { Scores } from '../../../network/score.ts';
import { type Factors, linearOfFactors, type Variant } from '../../../network/variant.ts';
import { tokensIn } from '../../../network/windows.ts';
import type { MeasuredMatrix, MeasuredUnit } from './measuredUnits.ts';
import { networkCosts } from './networkCosts.ts';
import { readingsOf } from './readings.ts';

export interface DivergenceRequest {
  readonly network: Network;
  readonly backend: Backend;
  readonly windows: readonly ArrayLike<number>[];
  readonly units: readonly MeasuredUnit[];
  /** Seconds that it may take; no limit if undefined. Something is measured in any case. */
  readonly seconds: number | undefined;
  readonly letOthers: Pause | undefined;
  readonly signal: AbortSignal | undefined;
  readonly progress?:
    | ((report: { readonly done: number; readonly share: number; readonly message: string }) => void)
    | undefined;
}

/** Bytes of the streams of the dense network that are kept, at most. */
const MOST_KEPT = 2 ** 30;

/**
 * The mean KL divergence from the dense network, in nats, of the network with one unit cut on its inputs (LEMS, ICML
 * 2026), for as many units as the time allows. Several pass in one reading, each from its own block on.
 * @throws RankscopeError as `forward` does
 */
export async function measureDivergences(request: DivergenceRequest): Promise<Map<MeasuredUnit, number>> {
  const { network, backend, windows, units, seconds, letOthers, signal, progress } = request;
  const { width, layers } = network.decoder;
  const tokens = tokensIn(windows);
  const streamBytes = tokens * width * Float32Array.BYTES_PER_ELEMENT;
  const dense = new DenseStreams(layers.length, Math.max(1, Math.ceil((layers.length * streamBytes) / MOST_KEPT)));
  const costs = networkCosts(network);
  const costOf = (part: readonly MeasuredUnit[]) =>
    part.reduce((sum, { layer }) => sum + costs.from(layer ?? layers.length), costs.head);
  const lossless = units.filter(({ members }) => members.every(({ basis }) => !basis));
  const measured = new Map<MeasuredUnit, number>(lossless.map((unit) => [unit, 0]));
  const readings = readingsOf(
    units.filter((unit) => !measured.has(unit)),
    { layers: layers.length, streamBytes, isLimited: seconds !== undefined },
  );
  const total = costs.from(0) + readings.reduce((sum, reading) => sum + costOf(reading), 0);
  const started = performance.now();
  let done = 0;
  for (const reading of readings) {
    const cost = costOf(reading) + (done === 0 ? costs.from(0) : 0);
    const spent = (performance.now() - started) / 1000;
    // A reading that would exceed the time may leave room for a shorter one, of later layers.
    if (seconds !== undefined && done > 0 && spent + (spent / done) * cost > seconds) continue;
    const scores = new Scores({
      backend,
      windows,
      names: reading.map(({ name }) => `the network with ${name} cut`),
      subject: network.weights.subject,
    });
    await forward({
      network,
      backend,
      windows,
      variants: reading.map((unit) => cut(backend, unit)),
      take: scores.take,
      dense,
      letOthers,
      signal,
      progress: (share) =>
        progress?.({ done: measured.size, share: (done + share * cost) / total, message: messageOf(reading) }),
    });
    for (const [k, { divergence }] of scores.result().variants.entries()) measured.set(reading[k]!, divergence.mean);
    done += cost;
  }
  return measured;
}

function messageOf(reading: readonly MeasuredUnit[]): string {
  const blocks = reading.map(({ layer }) => (layer === null ? 'the head' : `block ${layer + 1}`));
  const [first, last] = [blocks[0]!, blocks.at(-1)!];
  return `KL of ${first === last ? first : `${first} to ${last}`}`;
}

/** The network in which the members of a unit are U_k U_k^T W. */
function cut(backend: Backend, { name, members }: MeasuredUnit): Variant {
  const replaced: [string, Variant['replaced'] extends ReadonlyMap<string, infer Load> ? Load : never][] = [];
  for (const member of members) {
    if (!member.basis) continue;
    const load = async (signal: AbortSignal | undefined) =>
      linearOfFactors(member.matrix.name, member.matrix.shape, await factorsOf(backend, member, signal));
    for (const tensor of member.tensors) replaced.push([tensor, load]);
  }
  return { name, replaced: new Map(replaced) };
}

/** B = U_k and A = U_k^T W. */
async function factorsOf(
  backend: Backend,
  { matrix, stored, basis }: MeasuredMatrix,
  signal: AbortSignal | undefined,
): Promise<Factors> {
  const {
    name,
    shape: [outputs, inputs],
  } = matrix;
  const { rank, left } = basis!;
  const weights = await uploadLinear(backend, name, { outputs, inputs, factors: [stored] }, undefined, signal);
  const basisMatrix = await backend.allocate(outputs, rank);
  const a = await backend.allocate(rank, inputs);
  try {
    await backend.upload(basisMatrix, 0, outputs, (out) => out.set(left));
    const options = { transposeA: true, transposeB: stored.transposed, signal };
    await backend.multiply(a, basisMatrix, weights.steps[0]!.matrix, options);
    return { b: left, a: await backend.download(a) };
  } finally {
    backend.free(a);
    backend.free(basisMatrix);
    freeLinear(backend, weights);
  }
}
