import { unwrap, withoutParameter } from './namePath.ts';

/** All names that differ only in their numbers, parsed once. */
export interface Template {
  /** The whole name, every number in it written `#`. */
  readonly name: string;
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

/** The number of an expert: `experts.#`, `expert_#`; DeepSpeed counts in `deepspeed_experts.#`. */
const EXPERT = /(?<=experts?[._])#/;

export function newTemplate(name: string, numbers: readonly number[]): Template {
  const path = withoutParameter(unwrap(name));
  return { name, path, expertAt: expertAt(path), low: [...numbers], high: [...numbers], isMatrix: false };
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
