import type { TensorDescription } from '../../checkpoint/tensor.ts';
import type { Dimensions } from '../layout/dimensions.ts';
import type { Role } from './roles.ts';
import type { Template } from './template.ts';

/** What the names and shapes around a tensor say about it. */
export interface Surroundings {
  /** The number of experts by the path of the module that holds them. */
  readonly experts: ReadonlyMap<string, number>;
  /** Paths of modules that hold a stack of layers. */
  readonly stacks: ReadonlySet<string>;
  readonly vocabularies: Dimensions['vocabularies'];
}

/** A tensor, or the update of one, with its parsed name. */
interface Placed {
  readonly part: Pick<TensorDescription, 'shape' | 'transposed'> | { readonly shape: readonly number[] };
  readonly numbers: readonly number[];
  readonly template: Template;
}

const EXPERTS = /^(.*?)[._]?[a-z_]*(experts?|_exps|switch_(mlp|glu))(?![a-z])/;
const STACK = /^(.*?)\.?\b(layers?|blocks?|h)\.#\./;

export function surroundings(entries: readonly Placed[], { vocabularies }: Dimensions): Surroundings {
  const experts = new Map<string, number>();
  const stacks = new Set<string>();
  const seen = new Set<Template>();
  for (const { part, template } of entries) {
    if (seen.has(template)) continue;
    seen.add(template);
    const { path, high } = template;
    const stack = STACK.exec(path);
    if (stack) stacks.add(stack[1]!);
    const found = path.includes('exp') || path.includes('switch') ? EXPERTS.exec(path) : null;
    if (!found || /shared_exp|shexp/.test(path)) continue;
    const [whole, holder = ''] = found;
    // `experts.#` counts its experts by number; a stack of experts has one slice for each.
    const numbered = path.slice(whole.length).startsWith('.#');
    const count = numbered ? high[whole.split('#').length - 1]! + 1 : part.shape.length > 2 ? part.shape[0]! : 0;
    experts.set(holder, Math.max(count, experts.get(holder) ?? 0));
  }
  return { experts, stacks, vocabularies };
}

/** Channels of a picture: with a mask or transparency, or the latent of an autoencoder. */
const MOST_CHANNELS = 4;

/**
 * The role of a matrix, corrected by its surroundings:
 * - a `gate` beside experts, or with very few rows, is a router; any other belongs to a gated feed-forward layer;
 * - a matrix of unknown role outside all layers, with one row for each token, is a head, whatever its name;
 * - a matrix of unknown role beside experts, with one row for each of them, is a router, whatever its name;
 * - convolutions beside a stack of layers, and the first one of an image network, are its stem;
 * - in a sequence of layers called `classifier` or `head`, the last one is the head.
 */
export function roleInPlace(
  role: Role | undefined,
  { part, template: { path, high }, numbers }: Placed,
  { experts, stacks, vocabularies }: Surroundings,
): Role | undefined {
  const { shape } = part;
  const transposed = 'transposed' in part && part.transposed;
  const [holder, word] = lastWord(path);
  if (shape.length === 2 && role === undefined && !EXPERTS.test(path)) {
    const [rows = 0, cols = 0] = transposed ? [shape[1], shape[0]] : shape;
    const at = experts.has(holder) ? holder : lastWord(holder)[0];
    const count = experts.get(at);
    // CTRL's table of words is called `w`.
    if (path === 'w' && (rows >= 8 * cols || vocabularies.has(rows))) return 'embedding';
    if (numbers.length === 0 && vocabularies.has(rows) && !vocabularies.has(cols)) return 'head';
    if (GATE.test(path)) return count !== undefined || 8 * rows <= cols ? 'router' : 'gate';
    // A whole layer that holds its experts itself has other matrices, which may have as many rows by chance.
    if (count !== undefined && count > 1 && rows === count && !at.endsWith('#')) return 'router';
  }
  if (shape.length > 2 && (role === undefined || role === 'convolution')) {
    if (CONVOLUTION.test(word) && stacks.has(holder)) return 'stem';
    const channels = transposed ? shape.at(-2)! : shape[1]!;
    const first = numbers.every((number) => number === 0) && FIRST.test(word);
    if (first && shape.length > 3 && channels > 1 && channels <= MOST_CHANNELS) return 'stem';
  }
  if (role === 'head' && SEQUENCE.test(path) && numbers[0]! < high[0]!) return undefined;
  return role;
}

const GATE = /(^|\.)gates?(\.#)?(\.(wg|w|linear|proj|dense|classifier))?$/;
const CONVOLUTION = /^conv(\d?d)?_?\d*(_in)?$/;
const FIRST = /^((first_)?conv(olution)?|conv[123]d|conv_?[01]|proj|projection|#)$/;
const SEQUENCE = /^(classifier|head|fc)\.#$/;

function lastWord(path: string): [holder: string, word: string] {
  const at = path.lastIndexOf('.');
  return [path.slice(0, Math.max(0, at)), path.slice(at + 1)];
}
