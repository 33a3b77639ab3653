import { AxeBuilder } from '@axe-core/playwright';
import type { Page } from 'playwright-core';
import type { ThemeName } from './themes.ts';

/** Rows of one table or list are alike, and a rule takes as long for each. */
const REPEATED = ['tr:nth-child(n+12)', 'li:nth-child(n+12)'];

/**
 * Rules broken in a way that stops somebody, each with where. Only the contrast depends on the theme: all rules are
 * tried in the dark one alone.
 */
export async function seriousViolations(page: Page, theme: ThemeName = 'dark'): Promise<string[]> {
  const axe = REPEATED.reduce((builder, rows) => builder.exclude(rows), new AxeBuilder({ page }));
  const { violations } = await (theme === 'dark' ? axe : axe.withRules(['color-contrast'])).analyze();
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`));
}
