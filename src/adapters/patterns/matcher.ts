import type { Node } from './syntax.ts';

/** Thrown when a match takes more steps than it was granted. */
export class OutOfSteps extends Error {}

/**
 * The steps that all matches with the patterns of one configuration may take together, about a second. Backtracking
 * takes a time that may grow exponentially with the name.
 */
export class Steps {
  constructor(private left = 5e6) {}

  take(count = 1): void {
    this.left -= count;
    if (this.left < 0) throw new OutOfSteps();
  }
}

/** Where a group last matched, from its first letter to after its last. */
export type Span = readonly [from: number, to: number];

interface Run {
  readonly letters: readonly string[];
  readonly groups: (Span | undefined)[];
  readonly steps: Steps;
}

/** Whether the rest of an expression matches from here on. */
type Next = (at: number) => boolean;

/**
 * Whether `node` matches from the letter `at` so that `next` accepts where it ends, by backtracking: the alternatives
 * are tried in order, and what follows decides. `groups` holds what the groups matched so far.
 */
export function matches(node: Node, run: Run, at: number, next: Next): boolean {
  run.steps.take();
  const { letters, groups } = run;
  switch (node.kind) {
    case 'letters': {
      const end = at + node.accepts.length;
      if (end > letters.length) return false;
      run.steps.take(node.accepts.length >> 4);
      return node.accepts.every((accepts, k) => accepts(letters[at + k]!)) && next(end);
    }
    case 'sequence':
      return inSequence(node.parts, 0, run, at, next);
    case 'choice':
      return node.options.some((option) => matches(option, run, at, next));
    case 'repeat':
      if (node.mode === 'possessive') return once({ ...node, mode: 'greedy' }, run, at, next);
      return repeated(node, run, at, next);
    case 'group':
      return matches(node.node, run, at, (end) => {
        const before = groups[node.index];
        groups[node.index] = [at, end];
        if (next(end)) return true;
        groups[node.index] = before;
        return false;
      });
    case 'atomic':
      return once(node.node, run, at, next);
    case 'look':
      return looked(node, run, at) && next(at);
    case 'same': {
      const span = groups[node.index];
      if (!span) return false;
      const fold = (from: number, to: number) => {
        const text = letters.slice(from, to).join('');
        return node.ignoreCase ? text.toLowerCase() : text;
      };
      const end = at + span[1] - span[0];
      run.steps.take(span[1] - span[0]);
      return end <= letters.length && fold(...span) === fold(at, end) && next(end);
    }
    case 'conditional':
      return matches(groups[node.index] ? node.yes : node.no, run, at, next);
    case 'place':
      return node.holds(letters, at) && next(at);
  }
}

function inSequence(parts: readonly Node[], index: number, run: Run, at: number, next: Next): boolean {
  const part = parts[index];
  return part ? matches(part, run, at, (end) => inSequence(parts, index + 1, run, end, next)) : next(at);
}

/** The first way in which `node` matches, which is kept even if what follows fails. */
function once(node: Node, run: Run, at: number, next: Next): boolean {
  const before = run.groups.slice();
  let end = -1;
  const found = matches(node, run, at, (place) => {
    end = place;
    return true;
  });
  if (found && next(end)) return true;
  restore(run, before);
  return false;
}

function looked({ node, negative, width }: Node & { kind: 'look' }, run: Run, at: number): boolean {
  const before = run.groups.slice();
  const from = at - (width ?? 0);
  const found = from >= 0 && matches(node, run, from, (end) => width === undefined || end === at);
  if (negative || !found) restore(run, before);
  return found !== negative;
}

function restore({ groups }: Run, before: readonly (Span | undefined)[]): void {
  groups.splice(0, groups.length, ...before);
}

function repeated(node: Node & { kind: 'repeat' }, run: Run, at: number, next: Next): boolean {
  const { min, max, mode } = node;
  const body = node.node;
  // A loop instead of a recursion for the usual case, one letter.
  if (body.kind === 'letters' && body.accepts.length === 1) {
    const accepts = body.accepts[0]!;
    const { letters, steps } = run;
    const takes = (count: number) => {
      steps.take();
      return count < max && at + count < letters.length && accepts(letters[at + count]!);
    };
    let count = 0;
    while ((mode === 'greedy' || count < min) && takes(count)) count++;
    if (count < min) return false;
    if (mode === 'greedy') {
      for (; count >= min; count--) {
        steps.take();
        if (next(at + count)) return true;
      }
      return false;
    }
    for (;;) {
      if (next(at + count)) return true;
      if (!takes(count)) return false;
      count++;
    }
  }
  const again = (count: number, place: number): boolean => {
    const more = () =>
      count < max &&
      matches(body, run, place, (end) => {
        // A further empty match would be repeated for ever.
        if (end === place && count >= min) return false;
        return again(count + 1, end);
      });
    const enough = () => count >= min && next(place);
    return mode === 'greedy' ? more() || enough() : enough() || more();
  };
  return again(0, at);
}
