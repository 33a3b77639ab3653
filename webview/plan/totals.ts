import { formatBytes, formatCount, formatWhole } from '../../src/base/quantities.ts';
import type { PlanOverview } from '../../src/protocol/page.ts';
import { element, fill } from '../ui/dom.ts';
import { formatPercent } from '../ui/format.ts';

/** The totals of the plan, before and after. */
export function showTotals(root: HTMLElement, plan: PlanOverview): void {
  const { parametersBefore, parametersAfter, bytesBefore, bytesAfter, error, keptShare, keptShareOfModel } =
    plan.totals;
  const { bytesOfModel, multiplyAddsBefore, multiplyAddsAfter } = plan.totals;
  const whole = plan.checkpoint.parameters;
  const bar = element('div', { class: 'kept-bar', attributes: { 'aria-hidden': 'true' } }, element('div'));
  (bar.firstElementChild as HTMLElement).style.width = `${Math.min(100, keptShare * 100)}%`;
  const row = (name: string, before: string, after: string) =>
    element(
      'tr',
      {},
      element('th', { text: name, attributes: { scope: 'row' } }),
      element('td', { class: 'numeric', text: before }),
      element('td', { class: 'numeric', text: after }),
    );
  const known = (name: string, format: (value: number) => string, before?: number, after?: number) =>
    before === undefined || after === undefined
      ? null
      : row(name, format(Math.round(before)), format(Math.round(after)));
  fill(
    root,
    element('p', { class: 'headline' }, element('strong', { text: formatPercent(keptShare) }), ' of what may be cut'),
    bar,
    element('p', { class: 'faint of-model', text: `${formatPercent(keptShareOfModel)} of the whole model` }),
    element(
      'table',
      {},
      element('caption', { class: 'visually-hidden', text: 'Totals before and after' }),
      element('thead', {}, element('tr', {}, element('td'), headCell('before'), headCell('after'))),
      element(
        'tbody',
        {},
        row('Parameters', formatCount(parametersBefore), formatCount(parametersAfter)),
        row('Whole model', formatCount(whole), formatCount(whole - parametersBefore + parametersAfter)),
        row('Bytes', formatBytes(bytesBefore), formatBytes(bytesAfter)),
        // Of a quantized checkpoint, the file with nothing cut would be larger than the checkpoint.
        known('File, about', formatBytes, plan.checkpoint.bytes, bytesOfModel),
        known('Multiply-adds', formatCount, multiplyAddsBefore, multiplyAddsAfter),
        row(plan.sensitivities ? 'Error of W X' : 'Weight error', '', formatPercent(error)),
      ),
    ),
    element('p', {
      class: 'faint',
      text: `${formatWhole(plan.factorized)} of ${formatWhole(plan.matrices)} matrices are factorized; the others stay dense.`,
    }),
    plan.sensitivities ? element('p', { class: 'faint measured', text: measuredText(plan.sensitivities) }) : null,
  );
}

/** `Activations: wiki.txt, 16.4K tokens. KL on 1,024 tokens: 210 matrices.` */
function measuredText({ inputs, divergences }: NonNullable<PlanOverview['sensitivities']>): string {
  const tokens = inputs.tokens === null ? '' : `, ${formatCount(inputs.tokens)} tokens`;
  const seen = `Activations: ${inputs.text ?? 'a text without a name'}${tokens}.`;
  if (!divergences) return seen;
  const { measured, filledIn } = divergences;
  const rest = filledIn > 0 ? `, filled in for ${formatWhole(filledIn)} others` : '';
  return `${seen} KL on ${formatWhole(divergences.tokens)} tokens of ${divergences.text}: measured for ${formatWhole(measured)} matrices${rest}.`;
}

function headCell(text: string): HTMLElement {
  return element('th', { class: 'numeric', text, attributes: { scope: 'col' } });
}
