/** Rules of a plan as a line of text, which the command line takes: `*.down_proj.*: rank 64`. */
import type { PlanRule } from './plan.ts';

const NUMBERS = ['rank', 'keep', 'energy', 'floor', 'multiple'] as const;
const EXPECTED = "expected 'GLOB: SETTINGS', with dense, rank N, keep SHARE, energy SHARE, floor SHARE or multiple N";

/** A rule, or what is wrong with the text, as a clause. */
export function readRule(text: string): PlanRule | string {
  // Globs may have colons, settings have none.
  const [, match = '', settings = ''] = /^\s*(\S.*?)\s*:\s*([^:]+)$/.exec(text) ?? [];
  if (match === '') return EXPECTED;
  const rule: { -readonly [Key in keyof PlanRule]: PlanRule[Key] } = { match };
  for (const part of settings.split(',').map((word) => word.trim())) {
    const [, name = '', number = ''] = /^([a-z]+)(?:[\s=]+([\d.]+%?))?$/.exec(part) ?? [];
    const value = number.endsWith('%') ? Number(number.slice(0, -1)) / 100 : Number(number);
    if (name === 'dense' && number === '') rule.rank = null;
    else if (isNumbered(name) && number !== '' && Number.isFinite(value)) rule[name] = value;
    else return `'${part}' is no setting; ${EXPECTED}`;
  }
  return rule;
}

/** The line that reads as this rule. */
export function ruleText(rule: PlanRule): string {
  return `${rule.match}: ${settingsText(rule)}`;
}

/** The same without the glob: `rank 64, multiple 8`. */
export function settingsText({ match: _match, ...settings }: PlanRule): string {
  return Object.entries(settings)
    .map(([name, value]) => (value === null ? 'dense' : `${name} ${value}`))
    .join(', ');
}

function isNumbered(name: string): name is (typeof NUMBERS)[number] {
  return (NUMBERS as readonly string[]).includes(name);
}
