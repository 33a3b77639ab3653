import { formatWhole } from '../../src/base/quantities.ts';
import { DENSE_ROLES } from '../../src/model/names/roles.ts';
import { DENSE_BY_DEFAULT } from '../../src/model/plan/leftOut.ts';
import type { PlanRequest } from '../../src/model/plan/plan.ts';
import { canShare, defaultFloor, isMeasured, isSpread } from '../../src/model/plan/planRequest.ts';
import type { PlanMeasure, PlanOverview } from '../../src/protocol/page.ts';
import { checkbox, linesField, numberField, select, slider } from '../ui/controls.ts';
import { element, setText } from '../ui/dom.ts';
import { field } from './field.ts';
import { createMeasureFields, type MeasureHooks } from './measureFields.ts';
import {
  type BudgetKind,
  budgetKinds,
  budgetOf,
  includesKind,
  KIND_NAMES,
  ruleLines,
  SHARES,
  SPREADS,
  shareOf,
  shownBudget,
  wholeModel,
  withKind,
  withRules,
  withShare,
} from './planState.ts';

/** The form with the plan's budget and options. */
export function createPlanForm(
  root: HTMLElement,
  change: (edit: (request: PlanRequest) => PlanRequest) => void,
  hooks: MeasureHooks,
): { show(request: PlanRequest, plan: PlanOverview | null, measure: PlanMeasure): void } {
  let request: PlanRequest | null = null;
  /** The last value of each kind of budget, restored when the user returns to it. */
  const last = new Map<string, number>();
  let kinds: readonly BudgetKind[] = budgetKinds(undefined);
  let shownKinds = '';
  const kindNow = () => kinds.find(({ id }) => id === request?.budget.kind) ?? kinds[0]!;
  const setBudget = (shown: number) => change((old) => ({ ...old, budget: budgetOf(kindNow(), shown) }));
  const kind = select('Budget', kinds, (id) => {
    const chosen = kinds.find((one) => one.id === id)!;
    const before = last.get(id);
    const isInRange = before !== undefined && (chosen.id === 'rank' || before * chosen.scale <= chosen.max);
    change((old) => ({ ...old, budget: { kind: chosen.id, value: isInRange ? before : chosen.first } }));
  });
  const value = numberField('Budget value', 0, 100, (shown) => {
    if (shown !== null) setBudget(shown);
  });
  const unit = element('span', { class: 'faint unit' });
  const range = slider(
    'Budget',
    (shown) => {
      value.set(shown);
      range.describe(`${shown} ${kindNow().unit}`);
    },
    setBudget,
  );
  const budgetHelp = element('p', { class: 'faint help' });
  const spread = select('Spread', SPREADS, (id) =>
    change((old) => ({ ...old, spread: SPREADS.find((one) => one.id === id)!.id })),
  );
  const spreadHelp = element('p', { class: 'faint help' });
  const measureFields = createMeasureFields(hooks);
  const multiple = numberField('Ranks are multiples of', 1, 1024, (chosen) => {
    if (chosen !== null) change((old) => ({ ...old, multiple: chosen }));
  });
  const floor = numberField('Lowest rank, in percent of break-even', 0, 100, (shown) =>
    change(({ floor: _, ...rest }) => (shown === null ? rest : { ...rest, floor: shown / 100 })),
  );
  const factors = select(
    'Factors',
    [
      { id: '2', label: 'Two: B A' },
      { id: '3', label: 'Three: U S V' },
    ],
    (id) => change((old) => ({ ...old, factors: id === '3' ? 3 : 2 })),
  );
  const shareControl = select('Shared factors', SHARES, (id) =>
    change((old) => withShare(old, SHARES.find((one) => one.id === id)!.id)),
  );
  const shareRow = field('Share a factor', shareControl.element);
  const exclude = linesField('Matrices to keep dense, one pattern per line', '*.layers.0.*\n*.k_proj.*', (lines) =>
    change((old) => ({ ...old, exclude: lines })),
  );
  const wrongRule = element('p', { class: 'help wrong', attributes: { role: 'alert' } });
  wrongRule.hidden = true;
  const rules = linesField(
    'Rules for matrices by name, one per line',
    '*.down_proj.*: floor 0.5\n*.layers.0.*: rank 64',
    (lines) => {
      const changed = request && withRules(request, lines);
      const isWrong = typeof changed === 'string';
      setText(wrongRule, isWrong ? changed : '');
      wrongRule.hidden = !isWrong;
      // A line that is no rule stays in the field until it is mended.
      if (!isWrong) change((old) => withRules(old, lines) as PlanRequest);
    },
  );
  const denseKinds = DENSE_ROLES.map((kind) => {
    const control = checkbox(KIND_NAMES[kind], false, (cut) => change((old) => withKind(old, kind, cut)));
    return { kind, ...control };
  });
  const kindsRow = element(
    'fieldset',
    { class: 'kinds' },
    element('legend', { class: 'field-name', text: 'Dense by default; cut as well:' }),
    ...denseKinds.map((each) => each.element),
  );
  const spreadRow = field('Spread', spread.element);
  root.replaceChildren(
    field('Budget', kind.element),
    element('div', { class: 'budget' }, range.element, value.element, unit),
    budgetHelp,
    spreadRow,
    spreadHelp,
    measureFields.element,
    element('div', { class: 'pair' }, field('Multiple of', multiple.element), field('Floor, %', floor.element)),
    field('Factors', factors.element),
    shareRow,
    field('Keep dense', exclude.element),
    field('Rules', rules.element),
    wrongRule,
    element('p', { class: 'faint help', text: DENSE_BY_DEFAULT }),
    kindsRow,
  );
  return {
    show(next, plan, measure) {
      request = next;
      last.set(next.budget.kind, next.budget.value);
      kinds = budgetKinds(wholeModel(next, plan));
      const offered = kinds.map(({ id }) => id).join();
      // New options would close a list that the user has opened.
      if (offered !== shownKinds) kind.setOptions(kinds);
      shownKinds = offered;
      const current = kindNow();
      const shown = shownBudget(next.budget, current);
      const max = current.id === 'rank' ? Math.max(plan?.highestRank ?? 1, shown) : current.max;
      range.setRange(current.min, max, current.step);
      value.setRange(current.min, max, current.step);
      range.set(shown);
      value.set(shown);
      range.describe(`${shown} ${current.unit}`);
      kind.set(current.id);
      setText(unit, current.unit);
      setText(budgetHelp, current.explanation);
      spread.set(next.spread);
      spreadRow.hidden = spreadHelp.hidden = !isSpread(next.budget);
      setText(spreadHelp, SPREADS.find(({ id }) => id === next.spread)?.explanation ?? '');
      measureFields.element.hidden = !isMeasured(next);
      measureFields.show(next, measure);
      multiple.set(next.multiple);
      floor.set(next.floor === undefined ? null : Math.round(1000 * next.floor) / 10);
      floor.element.placeholder = String(100 * defaultFloor(next));
      factors.set(String(next.factors));
      shareControl.set(shareOf(next));
      shareRow.hidden = !canShare(next);
      exclude.set(next.exclude);
      if (wrongRule.hidden) rules.set(ruleLines(next));
      const counts = plan?.kinds ?? {};
      kindsRow.hidden = Object.keys(counts).length === 0;
      for (const { kind, element: box, set } of denseKinds) {
        const count = counts[kind];
        box.hidden = count === undefined;
        setText(box, `${KIND_NAMES[kind]} (${formatWhole(count ?? 0)})`);
        set(includesKind(next, kind));
      }
    },
  };
}
