import { formatWhole } from '../../src/base/quantities.ts';
import type { PlannedMatrix, PlanRequest } from '../../src/model/plan/plan.ts';
import type { PlanOverview, PlanRows } from '../../src/protocol/page.ts';
import { textField } from '../ui/controls.ts';
import { element, fill } from '../ui/dom.ts';
import { formatPercent, formatShape } from '../ui/format.ts';
import { overrideOf } from './planState.ts';

interface MatricesHooks {
  /** The first `count` matrices of the plan that match a filter. */
  readonly ask: (filter: string, count: number, take: (rows: PlanRows) => void) => void;
  readonly override: (name: string, rank: number | null | undefined) => void;
  readonly reveal: (name: string) => void;
}

const PAGE = 60;

/** The matrices of the plan, each with its rank and cost, and a field to set the rank by hand. */
export function createPlanMatrices(
  root: HTMLElement,
  hooks: MatricesHooks,
): { show(plan: PlanOverview, request: PlanRequest): void } {
  const list = element('ul', { class: 'matrices' });
  const more = element('button', { class: 'link', attributes: { type: 'button' }, on: { click: () => showMore() } });
  const none = element('p', { class: 'faint', text: 'No matching matrices' });
  let filter = '';
  let limit = PAGE;
  let current: { plan: PlanOverview; request: PlanRequest } | null = null;
  let rows: PlanRows | null = null;
  /** Counts the questions; an answer to an earlier one is dropped. */
  let asked = 0;
  const ask = () => {
    const own = ++asked;
    hooks.ask(filter, limit, (answer) => {
      if (own !== asked) return;
      rows = answer;
      draw();
    });
  };
  const search = textField('Filter matrices by name', 'Filter by name', (text) => {
    filter = text;
    limit = PAGE;
    ask();
  });
  fill(root, search, list, none, more);
  const showMore = () => {
    limit += PAGE;
    ask();
  };
  const draw = () => {
    if (!current || !rows) return;
    const { request } = current;
    const { matching, matrices } = rows;
    // Rebuilding the list takes the focus away from a user who moves through its fields.
    const active =
      document.activeElement instanceof HTMLElement && list.contains(document.activeElement)
        ? document.activeElement
        : null;
    const focus = active && { name: active.closest('li')?.dataset.name, role: active.dataset.role };
    list.replaceChildren(...matrices.map((matrix) => rowOf(matrix, request, hooks)));
    none.hidden = matching > 0;
    more.hidden = matching <= matrices.length;
    more.textContent = `Show more of ${formatWhole(matching)}`;
    if (!focus) return;
    const row = [...list.children].find((one) => (one as HTMLElement).dataset.name === focus.name);
    row?.querySelector<HTMLElement>(`[data-role="${focus.role}"]`)?.focus();
  };
  return {
    show(plan, request) {
      const isNew = plan !== current?.plan;
      current = { plan, request };
      if (isNew) ask();
      draw();
    },
  };
}

function rowOf(matrix: PlannedMatrix, request: PlanRequest, hooks: MatricesHooks): HTMLElement {
  const { name, shape, rank, reason, parametersBefore, parametersAfter, error } = matrix;
  const own = overrideOf(request, name);
  const facts =
    rank === null
      ? `dense${reason ? `: ${reason}` : ''}`
      : `${formatPercent(parametersAfter / parametersBefore)} of the parameters, error ${formatPercent(error)}`;
  const field = element('input', {
    class: 'number',
    attributes: {
      type: 'number',
      min: '1',
      max: String(Math.min(...shape)),
      placeholder: rank === null ? 'dense' : String(rank),
      'aria-label': `Rank of ${name}`,
      title: 'Rank set by hand; leave it empty to let the plan choose',
    },
  });
  field.dataset.role = 'rank';
  if (typeof own === 'number') field.value = String(own);
  field.addEventListener('change', () => {
    const value = Math.round(field.valueAsNumber);
    hooks.override(name, Number.isFinite(value) ? Math.min(Math.min(...shape), Math.max(1, value)) : undefined);
  });
  const dense = element('button', {
    class: 'toggle',
    text: 'Dense',
    attributes: { type: 'button', 'aria-pressed': String(own === null), 'aria-label': `Keep ${name} dense` },
    on: { click: () => hooks.override(name, own === null ? undefined : null) },
  });
  dense.dataset.role = 'dense';
  const link = element('button', {
    class: 'link name',
    text: name,
    attributes: { type: 'button', title: `${name}\nShow in the heatmap` },
    on: { click: () => hooks.reveal(name) },
  });
  link.dataset.role = 'name';
  const row = element(
    'li',
    { class: own === undefined ? '' : 'own' },
    link,
    element(
      'div',
      { class: 'matrix-line' },
      element('span', { class: 'faint', text: formatShape(shape) }),
      element('span', { class: 'spring' }),
      field,
      dense,
    ),
    element('div', { class: 'faint facts-line', text: facts }),
  );
  row.dataset.name = name;
  return row;
}
