import { groupBy } from '../base/groupBy.ts';

/** The experts of a mixture of experts as one: many alike matrices in place of one in each layer. */

/** What is needed of a matrix to tell which experts it belongs to. */
export interface ExpertPlace {
  readonly stack?: string | undefined;
  readonly layer: number | null;
  readonly module: string;
  /** 0-based; absent or null for a matrix that is not part of an expert. */
  readonly expert?: number | null;
}

/**
 * The module without the number of the expert: that of `mlp.experts.3.up_proj` and of `mlp.experts.up_proj[3]` is
 * `mlp.experts.up_proj`. The module itself outside of experts.
 */
export function sharedModule({ module, expert }: ExpertPlace): string {
  if (expert === undefined || expert === null) return module;
  const slice = sliceAt(module, expert);
  if (slice) return module.slice(0, slice[0]) + module.slice(slice[1]);
  return module.replace(patternOf(expert), '$1').replace(/[._]$/, '');
}

/** Equal for the experts of one module of one layer. */
export function groupKey(place: ExpertPlace): string {
  return `${place.stack ?? ''} ${place.layer} ${sharedModule(place)}`;
}

/**
 * The name of all experts of a module in one layer, as a pattern: `layers.3.mlp.experts.*.up_proj.weight`, or
 * `layers.3.mlp.experts.up_proj[*]` for the slices of a stack.
 */
export function expertPattern(name: string, expert: number): string {
  const slice = sliceAt(name, expert);
  if (slice) return `${name.slice(0, slice[0])}[*]${name.slice(slice[1])}`;
  return name.replace(new RegExp(`([Ee]xperts?[._/])0*${expert}(?=[._/]|$)`), '$1*');
}

/** Where the index of an expert begins and ends among the indices at the end of a name, as in `up_proj[3]`. */
function sliceAt(name: string, expert: number): readonly [number, number] | undefined {
  if (!name.endsWith(']')) return undefined;
  const index = `[${expert}]`;
  const begin = name.lastIndexOf(index);
  if (begin < 0 || !/^(\[\d+\])*$/.test(name.slice(begin + index.length))) return undefined;
  return [begin, begin + index.length];
}

/** Kept, since the experts of all layers have the same numbers. */
const patterns: RegExp[] = [];

function patternOf(expert: number): RegExp {
  patterns[expert] ??= new RegExp(`([Ee]xperts?[._])0*${expert}(?:[._]|$)`);
  return patterns[expert];
}

/**
 * The numbers from 0 to count - 1 so that each beginning of the list is spread evenly: 0, 4, 2, 6, 1, 5, 3, 7 for
 * eight of them (the van der Corput sequence of base 2).
 */
export function spreadOrder(count: number): number[] {
  const bits = Math.max(1, Math.ceil(Math.log2(Math.max(2, count))));
  const order: number[] = [];
  for (let k = 0; k < 2 ** bits; k++) {
    let reversed = 0;
    for (let bit = 0; bit < bits; bit++) if (k & (1 << bit)) reversed |= 1 << (bits - 1 - bit);
    if (reversed < count) order.push(reversed);
  }
  return order;
}

/** Experts of each module and layer that are previewed before all others: enough for a first median and spread. */
const SAMPLED = 4;

/**
 * In which round each matrix is computed: 0 for a matrix by itself and the first sampled expert of each module and
 * layer, 1 for the other sampled ones, 2 for all others. The sampled experts are spread over the layer, and begin with
 * another one in each layer.
 */
export function roundsOf(matrices: readonly ExpertPlace[]): Uint8Array {
  const rounds = new Uint8Array(matrices.length);
  const experts = [...matrices.entries()].filter(([, { expert }]) => expert !== undefined && expert !== null);
  for (const group of groupBy(experts, ([, place]) => groupKey(place)).values())
    for (const [turn, [index]] of samplingOrder(group, group[0]![1].layer).entries())
      rounds[index] = turn === 0 ? 0 : turn < SAMPLED ? 1 : 2;
  return rounds;
}

/** The experts of one module and layer in the order in which they are sampled. */
export function samplingOrder<Member>(members: readonly Member[], layer: number | null): Member[] {
  const first = (layer ?? 0) * 7;
  return spreadOrder(members.length).map((position) => members[(position + first) % members.length]!);
}
