/** Why a plan misses its budget, and what to do: one sentence each, without its first capital and its full stop. */
import { formatBytes, formatCount } from '../../base/quantities.ts';
import type { Budget } from './plan.ts';
import type { Options } from './planOptions.ts';

export function tooLarge(smallest: number, wanted: number, all: readonly Options[]): string {
  return `the smallest plan keeps ${percent(smallest)} of what may be cut, ${percent(wanted)} were asked for: ${remedy(all)}`;
}

/** For a budget of the whole model: its least size, and that of all that no plan changes. */
export function tooMuch({ kind, value }: Budget, smallest: number, outside: number, all: readonly Options[]): string {
  const amount = (count: number) => (kind === 'bytes' ? formatBytes(Math.ceil(count)) : formatCount(Math.ceil(count)));
  const what = kind === 'bytes' ? '' : ' multiply-adds for a token';
  return `the smallest plan makes a model of ${amount(smallest)}${what}, ${amount(value)} were asked for; what stays dense takes ${amount(outside)} of it: include what is dense by default, or ${remedy(all)}`;
}

export function tooFar(error: number, wanted: number): string {
  return `the ranks set by hand alone give an error of ${percent(error)}, ${percent(wanted)} was asked for: raise them`;
}

function remedy(all: readonly Options[]): string {
  const hasFloor = all.some(({ least }) => least > 1);
  return `choose ${hasFloor ? 'a lower floor or a smaller multiple' : 'a smaller multiple'}, or set or exclude fewer matrices`;
}

const percent = (share: number) => `${(100 * share).toPrecision(3)} %`;
