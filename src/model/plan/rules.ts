import { nameMatcher } from '../globs.ts';
import type { PlanRule } from './plan.ts';

/** What the rules of a plan say about one matrix; at most one of `rank`, `keep` and `energy`. */
export type RuleSettings = Omit<PlanRule, 'match'>;

const NO_SETTINGS: RuleSettings = {};

/** The settings of the rules that match a name. Of several, each comes from the last rule that has it. */
export function rulesFor(rules: readonly PlanRule[] = []): (name: string) => RuleSettings {
  if (rules.length === 0) return () => NO_SETTINGS;
  const matching = rules.map(({ match, ...settings }) => ({ matches: nameMatcher([match]), settings }));
  return (name) => {
    let found: RuleSettings = NO_SETTINGS;
    for (const { matches, settings } of matching)
      if (matches(name)) found = { ...without(found, settings), ...settings };
    return found;
  };
}

/** Globs that match the name of none of these matrices, such as a misspelt one. */
export function idleGlobs(globs: readonly string[], matrices: readonly { readonly name: string }[]): string[] {
  return globs.filter((glob) => {
    const matches = nameMatcher([glob]);
    return !matrices.some(({ name }) => matches(name));
  });
}

/** A later rule that sets a rank takes the place of an earlier one that sets a share. */
function without(found: RuleSettings, { rank, keep, energy }: RuleSettings): RuleSettings {
  if (rank === undefined && keep === undefined && energy === undefined) return found;
  const { rank: _rank, keep: _keep, energy: _energy, ...rest } = found;
  return rest;
}
