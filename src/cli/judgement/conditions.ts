import { digits } from '../table.ts';

/** One number of a result. */
export interface Measured {
  /** What it is of: a matrix, a variant, or the whole result. */
  readonly subject: string;
  /** Null if it was not measured. */
  readonly value: number | null;
  /** What `1.05x` is 1.05 times of. */
  readonly whole?: number;
}

/** A kind of numbers in a result, which a condition may name. */
export interface Metric<Result> {
  readonly name: string;
  /** For the help. */
  readonly meaning: string;
  /** Of what `1.05x` counts multiples; absent if it has no meaning for this metric. */
  readonly relativeTo?: string;
  readonly values: (result: Result) => readonly Measured[];
}

const OPERATORS = {
  '>': (value: number, limit: number) => value > limit,
  '>=': (value: number, limit: number) => value >= limit,
  '<': (value: number, limit: number) => value < limit,
  '<=': (value: number, limit: number) => value <= limit,
} as const;

/** When a run fails: `error>0.1`, `perplexity>1.05x`, `kept<50%`. */
export interface Condition {
  /** As it was written. */
  readonly text: string;
  readonly metric: string;
  readonly operator: keyof typeof OPERATORS;
  readonly limit: number;
  /** Whether the limit counts multiples of `Measured.whole`. */
  readonly isRelative: boolean;
}

/** What became of a condition. */
export interface Verdict {
  readonly condition: string;
  readonly holds: boolean;
  /** What makes it hold, with the limit that each value was compared with; null for what was not measured. */
  readonly because: readonly {
    readonly subject: string;
    readonly value: number | null;
    readonly limit: number | null;
  }[];
}

/**
 * Reads a condition.
 * @throws Error whose message says what a condition looks like, and which metrics there are
 */
export function parseCondition(text: string, metrics: readonly Metric<never>[]): Condition {
  const form = /^\s*([a-z][\w-]*)\s*(>=|<=|>|<)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([x%])?\s*$/i.exec(text);
  // No value is beyond a limit like 1e999, which JavaScript reads as infinity.
  if (!form || !Number.isFinite(Number(form[3])))
    throw new Error(`it takes a metric, >, >=, < or <=, and a number, such as 'error>0.1', not '${text}'`);
  const [, word = '', operator = '>', number = '', unit = ''] = form;
  const metric = metrics.find(({ name }) => name === word.toLowerCase());
  if (!metric) {
    const names = metrics.map(({ name }) => name).join(', ');
    throw new Error(`there is no metric '${word}' here: use one of ${names}`);
  }
  const isRelative = unit.toLowerCase() === 'x';
  if (isRelative && metric.relativeTo === undefined)
    throw new Error(`'${text}': ${metric.name} is compared with a number, not with a multiple`);
  return {
    text: text.trim(),
    metric: metric.name,
    operator: operator as Condition['operator'],
    limit: Number(number) / (unit === '%' ? 100 : 1),
    isRelative,
  };
}

const NOTHING = 'nothing';

/**
 * Whether a condition holds for any of its metric's numbers. It also holds for what was not measured and for what is
 * not a number, so that a run without numbers does not pass.
 */
export function judge<Result>(condition: Condition, metrics: readonly Metric<Result>[], result: Result): Verdict {
  const measured = metrics.find(({ name }) => name === condition.metric)?.values(result) ?? [];
  const all = measured.length > 0 ? measured : [{ subject: NOTHING, value: null }];
  const because = all.flatMap(({ subject, value, whole }: Measured) => {
    const limit = condition.isRelative ? (whole === undefined ? null : condition.limit * whole) : condition.limit;
    const isKnown = value !== null && limit !== null && !Number.isNaN(value) && !Number.isNaN(limit);
    return isKnown && !OPERATORS[condition.operator](value, limit) ? [] : [{ subject, value, limit }];
  });
  return { condition: condition.text, holds: because.length > 0, because };
}

/** Subjects that are named before the rest is counted. */
const MOST_NAMED = 3;

/** A condition that holds, in one line. */
export function reasonOf({ condition, because }: Verdict): string {
  const named = because.slice(0, MOST_NAMED).map(({ subject, value, limit }) => {
    if (value === null) return subject === NOTHING ? 'nothing was measured' : `${subject} was not measured`;
    if (limit === null) return `${subject} has nothing to be compared with`;
    return `${subject} has ${digits(value)} (limit ${digits(limit)})`;
  });
  const rest = because.length - named.length;
  return `${condition}: ${named.join(', ')}${rest > 0 ? `, and ${rest} more` : ''}`;
}
