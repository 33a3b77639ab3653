import { unwrap, withoutParameter } from './namePath.ts';

/** All names that differ only in their numbers, parsed once. */
export interface Template {
  /** Without wrappers and without `.weight`, numbers as `#`. */
  readonly path: string;
  /** Index among its numbers of the one that counts experts (`experts.3.up_proj`); null without one. */
  readonly expertAt: number | null;
  /** Smallest and largest number seen at each `#`. */
  readonly low: number[];
  readonly high: number[];
  /** Whether any of its tensors is a matrix. */
  isMatrix: boolean;
}

/** Which number of a template is the layer, and the path before and after it. */
export interface Split {
  /** Index among the template's numbers; null outside any stack. */
  readonly layerAt: number | null;
  /** e.g. `encoder.block`; '' outside. */
  readonly stack: string;
  /** e.g. `attention.self.query`, or the whole path outside. */
  readonly rest: string;
}

/** Words that name a stack of layers if a number follows. */
const STACK_WORD = /(layers?|blocks?|blk|(^|[._])h)$/;

/** The number of an expert: `experts.#`, `expert_#`; DeepSpeed counts in `deepspeed_experts.#`. */
const EXPERT = /(?<=experts?[._])#/;

export function newTemplate(path: string, numbers: readonly number[]): Template {
  const own = withoutParameter(unwrap(path));
  return { path: own, expertAt: expertAt(own), low: [...numbers], high: [...numbers], isMatrix: false };
}

function expertAt(path: string): number | null {
  const before = path.split(EXPERT)[0]!;
  return before.length === path.length ? null : before.split('#').length - 1;
}

export function seen(template: Template, numbers: readonly number[]): void {
  for (const [k, value] of numbers.entries()) {
    if (value < (template.low[k] ?? value)) template.low[k] = value;
    if (value > (template.high[k] ?? value)) template.high[k] = value;
  }
}

/** The first number after a word such as `layers`; for unknown names the last number that varies. */
export function split({ path, low, high }: Template): Split {
  const marks = low.length === 0 ? [] : [...path.matchAll(/[._]#/g)].map(({ index }) => index);
  let layerAt = marks.findIndex((mark) => STACK_WORD.test(path.slice(0, mark)));
  if (layerAt < 0) layerAt = low.findLastIndex((value, k) => value < (high[k] ?? value));
  const mark = marks[layerAt];
  if (mark === undefined) return { layerAt: null, stack: '', rest: path };
  return { layerAt, stack: path.slice(0, mark), rest: path.slice(mark + 3) };
}

/**
 * The prefix of module names, by stack, that separates the modules of different stacks: empty for a single stack, else
 * the path around it (`encoder` for `encoder.block`), or all of the path if that is ambiguous (`layer1`, `layer2`) or
 * contains a number.
 */
export function stackLabels(stacks: ReadonlySet<string>): ReadonlyMap<string, string> {
  const around = (stack: string) => stack.slice(0, Math.max(0, stack.lastIndexOf('.')));
  const enough = new Set([...stacks].map(around)).size === stacks.size;
  const label = (stack: string): string => {
    if (stack.includes('#')) return stack;
    if (stacks.size < 2) return '';
    return enough ? around(stack) : stack;
  };
  return new Map([...stacks].map((stack) => [stack, label(stack)] as const));
}
