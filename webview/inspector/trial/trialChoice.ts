import { TRIAL_DEFAULTS, TRIAL_LIMITS, TRIAL_METHODS, type TrialMethod } from '../../../src/model/trial.ts';

/** What the fields of a trial say; kept across reloads. */
export interface TrialFields {
  readonly methods: readonly TrialMethod[];
  readonly oversampling: number;
  readonly powerIterations: number;
  readonly seed: number;
}

export const METHOD_NAMES: Readonly<Record<TrialMethod, string>> = {
  exact: 'Exact',
  randomized: 'Randomized',
  nystrom: 'Nyström',
  'column-row': 'Column/row',
};

export function restoreFields(kept: unknown): TrialFields {
  const old = (typeof kept === 'object' && kept !== null ? kept : {}) as Partial<Record<keyof TrialFields, unknown>>;
  const whole = (name: 'oversampling' | 'powerIterations' | 'seed') => {
    const [value, [least, most]] = [old[name], TRIAL_LIMITS[name]];
    return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
      ? (value as number)
      : TRIAL_DEFAULTS[name];
  };
  const methods = Array.isArray(old.methods)
    ? TRIAL_METHODS.filter((method) => (old.methods as unknown[]).includes(method))
    : [];
  return {
    methods: methods.length > 0 ? methods : TRIAL_DEFAULTS.methods,
    oversampling: whole('oversampling'),
    powerIterations: whole('powerIterations'),
    seed: whole('seed'),
  };
}

/** The rank of the slider, with half of it and twice it as far as the matrix has them: what a person compares with. */
export function ranksAround(rank: number, fullRank: number): number[] {
  return [...new Set([Math.ceil(rank / 2), rank, Math.min(2 * rank, fullRank)])].sort((one, other) => one - other);
}

/** The ranks in a text such as `16, 32 64`; null if it has none, too many, or anything else. */
export function readRanks(text: string, fullRank: number): number[] | null {
  const words = text.split(/[\s,;]+/).filter(Boolean);
  const ranks = [...new Set(words.map(Number))].sort((one, other) => one - other);
  const good = ranks.every((rank) => Number.isSafeInteger(rank) && rank >= 1 && rank <= fullRank);
  return good && ranks.length >= 1 && ranks.length <= TRIAL_LIMITS.ranks ? ranks : null;
}
