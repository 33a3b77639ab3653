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

/** The globs of rules that match none of these names, such as a misspelt one. */
export function idleRules(rules: readonly PlanRule[] = [], names: readonly string[]): string[] {
  return rules.map(({ match }) => match).filter((match) => !names.some(nameMatcher([match])));
}

/** A later rule that sets a rank takes the place of an earlier one that sets a share. */
function without(found: RuleSettings, { rank, keep, energy }: RuleSettings): RuleSettings {
  if (rank === undefined && keep === undefined && energy === undefined) return found;
  const { rank: _rank, keep: _keep, energy: _energy, ...rest } = found;
  return rest;
}
