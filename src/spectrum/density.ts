import type { Quadrature } from './lanczos.ts';

/** What is known exactly about the spectrum that a quadrature estimates. */
export interface SpectrumFacts {
  /** p, the number of singular values. */
  readonly count: number;
  /** The sum of their squares. */
  readonly energy: number;
}

/** Neighbouring nodes of one kind, and the positions in the spectrum (from 0 to p) that they represent. */
interface Run {
  readonly nodes: readonly Node[];
  readonly from: number;
  readonly to: number;
  readonly greatest: number;
  readonly least: number;
}

interface Node {
  readonly value: number;
  /** The number of singular values that the node represents. */
  count: number;
  /** Whether it lies at a singular value or a cluster of them, rather than in a continuum. */
  readonly atom: boolean;
  /** Whether it represents exactly one singular value. */
  readonly single: boolean;
}

/**
 * A node this near to a singular value lies on it: relative to the value, to sigma_1 (f32 rounding) and to the bulk.
 */
const [NEAR_VALUE, NEAR_ROUNDING, NEAR_BULK] = [1e-3, 1e-6, 1e-3];
/** Nodes this near to each other, relative to their value, form a cluster. */
const NEAR_CLUSTER = 1e-5;
/** Remainders of the energy below this fraction are lost to the rounding of the subtraction. */
const LEAST_ENERGY = 1e-4;

/**
 * Estimates all p singular values, descending, from a quadrature: its distribution function is read at (i - 1/2) / p.
 *
 * 1. A converged node with the weight of one value is that value. The other nodes share the remaining count in
 *    proportion to their weights.
 * 2. Their weights are tilted so that the energy takes its known value (a control variate).
 * 3. Converged nodes are steps of the distribution function. In a continuum it passes each node at the middle of its
 *    weight; the nodes of a family (one per probe) lie close together at its lower end and are averaged there.
 *
 * `probes` selects the probes to use: leaving out each in turn shows how far the estimate depends on chance.
 */
export function estimateValues(
  quadrature: Quadrature,
  { count, energy }: SpectrumFacts,
  probes: readonly number[] = Array.from({ length: quadrature.probes }, (_, i) => i),
): Float64Array {
  const nodes = weightedNodes(quadrature, count, probes);
  tiltToEnergy(nodes, energy, count);
  const out = new Float64Array(count);
  const bulk = new Uint8Array(count);
  const runs = runsOf(nodes, count);
  for (const [i, run] of runs.entries()) {
    const ceiling = runs[i - 1]?.least ?? quadrature.values[0]!;
    // Nothing is known below the last node, so its values are kept away from zero.
    const floor = runs[i + 1]?.greatest ?? run.least / 20;
    const valueAt = run.nodes[0]!.atom ? () => run.greatest : continuum(run, quadrature.probes);
    // If a run ends between two positions, the last one belongs to the next run, except at the very end.
    const end = i === runs.length - 1 ? count : Math.min(count, Math.ceil(run.to - 0.5));
    for (let k = Math.max(0, Math.ceil(run.from - 0.5)); k < end; k++) {
      out[k] = Math.min(ceiling, Math.max(floor, valueAt(k + 0.5)));
      bulk[k] = run.nodes[0]!.single ? 0 : 1;
    }
  }
  scaleToEnergy(out, bulk, energy);
  out[0] = quadrature.values[0]!;
  for (let k = 1; k < count; k++) out[k] = Math.min(out[k]!, out[0]!);
  return out.sort().reverse();
}

function weightedNodes(quadrature: Quadrature, count: number, probes: readonly number[]): Node[] {
  const { values, weights, residuals } = quadrature;
  const weight = Array.from(values, (_, k) => {
    let sum = 0;
    for (const i of probes) sum += weights[k * quadrature.probes + i]!;
    return (count * sum) / probes.length;
  });
  const rounding = NEAR_ROUNDING * values[0]!;
  const converged = Array.from(values, (value, k) => residuals[k]! <= NEAR_VALUE * value + rounding);
  const scale = NEAR_BULK * bulkScale(values, weight, converged);
  const single = singles(values, weight, converged, probes.length);
  return Array.from(values, (value, k): Node => {
    const atom = residuals[k]! <= NEAR_VALUE * value + rounding + scale;
    return { value, count: weight[k]!, atom, single: single[k]! && value > 10 * rounding };
  }).filter((node) => node.count > 1e-6);
}

/**
 * Decides which nodes represent one singular value each. The weight of c values is chi-squared with c degrees of
 * freedom per probe, divided by the number of probes; if the c nodes of a cluster exceed its 99.9 % quantile, more
 * values than nodes lie there. A cluster is tested as a whole, because the distribution of weights within it is
 * arbitrary.
 */
function singles(
  values: Float64Array,
  weight: readonly number[],
  converged: readonly boolean[],
  probes: number,
): boolean[] {
  const out: boolean[] = [];
  for (let from = 0; from < values.length; ) {
    let to = from + 1;
    while (to < values.length && values[to - 1]! - values[to]! <= NEAR_CLUSTER * values[to]!) to++;
    const degrees = (to - from) * probes;
    const most = 1 + 4 * Math.sqrt(2 / degrees) + 4 / degrees;
    const total = weight.slice(from, to).reduce((sum, one) => sum + one, 0);
    for (let k = from; k < to; k++) out.push(converged[k]! && total <= most * (to - from));
    from = to;
  }
  return out;
}

/** Root mean square of the unconverged values. */
function bulkScale(values: Float64Array, weight: readonly number[], converged: readonly boolean[]): number {
  let energy = 0;
  let count = 0;
  for (const [k, value] of values.entries()) {
    if (converged[k]) continue;
    energy += weight[k]! * value * value;
    count += weight[k]!;
  }
  return count > 0 ? Math.sqrt(energy / count) : 0;
}

/** Sets single nodes to one value each and tilts the others so that the total energy is exact. */
function tiltToEnergy(nodes: readonly Node[], energy: number, count: number): void {
  let left = energy;
  let rest = count;
  for (const node of nodes) {
    if (!node.single) continue;
    node.count = 1;
    left -= node.value ** 2;
    rest -= 1;
  }
  const others = nodes.filter((node) => !node.single);
  share(others, rest);
  if (!(left > LEAST_ENERGY * energy) || rest <= 0) return;
  const mean = others.reduce((sum, node) => sum + node.count * node.value ** 2, 0) / rest;
  const variance = others.reduce((sum, node) => sum + node.count * (node.value ** 2 - mean) ** 2, 0) / rest;
  if (!(variance > 0)) return;
  const slope = (left / rest - mean) / variance;
  for (const node of others) node.count *= Math.max(0.3, 1 + slope * (node.value ** 2 - mean));
  share(others, rest);
}

/** Scales the counts to a sum of `rest`. */
function share(nodes: readonly Node[], rest: number): void {
  const sum = nodes.reduce((total, node) => total + node.count, 0);
  for (const node of nodes) node.count *= sum > 0 ? Math.max(0, rest) / sum : 0;
}

/** Each atom is a run of its own; the nodes between two atoms are one run. */
function runsOf(nodes: readonly Node[], count: number): Run[] {
  const runs: Run[] = [];
  let from = 0;
  for (let i = 0; i < nodes.length; ) {
    let next = i + 1;
    if (!nodes[i]!.atom) while (next < nodes.length && !nodes[next]!.atom) next++;
    const members = nodes.slice(i, next);
    const to = Math.min(count, from + members.reduce((sum, node) => sum + node.count, 0));
    runs.push({ nodes: members, from, to, greatest: members[0]!.value, least: members.at(-1)!.value });
    from = to;
    i = next;
  }
  return runs;
}

/**
 * The values of a continuum by position, from averages of neighbouring nodes: one node at the top, a whole family at
 * the end.
 */
function continuum({ nodes, from }: Run, family: number): (position: number) => number {
  const size = nodes.length;
  const counts = new Float64Array(size + 1);
  const sums = new Float64Array(size + 1);
  for (const [k, node] of nodes.entries()) {
    counts[k + 1] = counts[k]! + node.count;
    sums[k + 1] = sums[k]! + node.count * node.value;
  }
  const width = Math.min(family, size);
  const positions: number[] = [];
  const values: number[] = [];
  for (let k = 0; k < size; k++) {
    const half = ((width - 1) * k) / Math.max(1, size - 1) / 2;
    const low = Math.max(0, Math.round(k - half));
    const high = Math.min(size, Math.round(k + half) + 1);
    if (low > size - width) break;
    positions.push(from + (counts[low]! + counts[high]!) / 2);
    values.push((sums[high]! - sums[low]!) / (counts[high]! - counts[low]!));
  }
  return piecewise(positions, values, width);
}

/**
 * Linear interpolation, extrapolated along the line through an end point and the point `reach` further in. The
 * positions asked for must ascend.
 */
function piecewise(
  positions: readonly number[],
  values: readonly number[],
  reach: number,
): (position: number) => number {
  const last = positions.length - 1;
  if (last === 0) return () => values[0]!;
  const line = (a: number, b: number, position: number) => {
    const slope = (values[b]! - values[a]!) / (positions[b]! - positions[a]!);
    return values[a]! + (Number.isFinite(slope) ? slope : 0) * (position - positions[a]!);
  };
  const inward = Math.min(reach, last);
  let k = 0;
  return (position) => {
    if (position <= positions[0]!) return line(0, inward, position);
    if (position >= positions[last]!) return line(last, last - inward, position);
    while (positions[k + 1]! < position) k++;
    return line(k, k + 1, position);
  };
}

/** Scales the values of the bulk so that the total energy is exact. */
function scaleToEnergy(values: Float64Array, bulk: Uint8Array, energy: number): void {
  let left = energy;
  let found = 0;
  // An iterator would make an array for each of thousands of values, a dozen times for each matrix.
  for (let k = 0; k < values.length; k++) {
    const energyOfValue = values[k]! ** 2;
    if (bulk[k]) found += energyOfValue;
    else left -= energyOfValue;
  }
  if (!(found > 0 && left > LEAST_ENERGY * energy)) return;
  const factor = Math.sqrt(left / found);
  for (let k = 0; k < values.length; k++) if (bulk[k]) values[k]! *= factor;
}
