import type { Budget, PlanRequest } from '../../src/model/plan/plan.ts';
import type { CurveMeasure, SensitivityCurve } from '../../src/model/plan/sensitivityCurves.ts';
import type { PlanOverview } from '../../src/protocol/page.ts';
import { createPointView } from '../charts/pointView.ts';
import { onThemeChange, readTheme } from '../charts/theme.ts';
import { select } from '../ui/controls.ts';
import { element, fill, setText } from '../ui/dom.ts';
import { firstPlace, showTable } from '../ui/table.ts';
import {
  budgetAt,
  describePoint,
  formatLoss,
  formatSize,
  MEASURES,
  plotOf,
  pointsOf,
  SIZES,
  type Size,
  sizeOf,
  summaryOf,
} from './sensitivityPlot.ts';

interface SensitivityHooks {
  /** The curves of the last plan; null where they are not known yet. */
  readonly ask: (take: (curves: readonly SensitivityCurve[] | null) => void) => void;
  readonly plan: (budget: Budget) => void;
}

/** Curves are asked for when a plan has rested this long: a dragged slider makes several. */
const SETTLE_MS = 300;
const TITLE = 'Error against size';

/** Error against size for the whole model, with the place of the plan. A click plans for the size under the pointer. */
export function createSensitivity(
  root: HTMLElement,
  hooks: SensitivityHooks,
): { show(plan: PlanOverview, request: PlanRequest): void } {
  /** Undefined until they are asked for, null where they wait for an analysis. */
  let curves: readonly SensitivityCurve[] | null | undefined;
  let shownPlan: PlanOverview | null = null;
  let chosenMeasure: CurveMeasure | null = null;
  let chosenSize: Size | null = null;
  let budget: Budget['kind'] = 'keep';
  /** Counts the questions; an answer to an earlier one is dropped. */
  let asked = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const curveNow = () => curves?.find(({ measure }) => measure === chosenMeasure) ?? curves?.at(-1);
  // The axis is what the budget counts, unless the user has chosen another one.
  const sizeNow = (): Size => chosenSize ?? (budget === 'bytes' || budget === 'multiplyAdds' ? budget : 'keep');
  const pointOf = (id: string) => {
    const curve = curveNow();
    return curve && pointsOf(curve).find((one) => one.id === id);
  };
  const measure = select('What a size costs', [], (id) => {
    chosenMeasure = id as CurveMeasure;
    draw();
  });
  const size = select('What a size is counted in', SIZES, (id) => {
    chosenSize = id as Size;
    draw();
  });
  const view = createPointView(TITLE, {
    select: (id) => {
      const found = pointOf(id);
      if (found && found.curve !== 'plan') hooks.plan(budgetAt(found.point, sizeNow()));
    },
    describe: (id) => {
      const [found, curve] = [pointOf(id), curveNow()];
      return found && curve ? describePoint(found, sizeNow(), curve.measure) : [];
    },
  });
  const legend = element(
    'ul',
    { class: 'curve-legend', attributes: { 'aria-label': 'Legend' } },
    element('li', { class: 'best', text: 'Least error' }),
    element('li', { class: 'uniform', text: 'Same share everywhere' }),
    element('li', { class: 'own', text: 'This plan' }),
  );
  const summary = element('p', { class: 'faint' });
  const table = element('div');
  const details = element('details', {}, element('summary', { text: 'As a table' }), table);
  fill(root, view.element, legend, summary, measure.element, size.element, details);

  function draw(): void {
    const curve = curveNow();
    for (const part of [legend, summary, size.element, details]) part.hidden = !curve;
    measure.element.hidden = (curves?.length ?? 0) < 2;
    if (!curve) {
      view.show(null, curves === null ? 'Analyze the checkpoint to see its curves' : '');
      return;
    }
    measure.setOptions(curves!.map(({ measure: id }) => ({ id, label: MEASURES[id] })));
    measure.set(curve.measure);
    const axis = sizeNow();
    size.set(axis);
    view.show(plotOf(curve, axis, readTheme()), '');
    view.select('plan0');
    setText(summary, summaryOf(curve));
    showTable(
      table,
      {
        caption: `${TITLE}: the least error of each size`,
        rows: [curve.plan, ...curve.best],
        columns: [
          {
            head: 'Size',
            numeric: true,
            text: (point) => formatSize(sizeOf(point, axis), axis) + (point === curve.plan ? ' (plan)' : ''),
            order: (point) => sizeOf(point, axis),
          },
          {
            head: MEASURES[curve.measure],
            numeric: true,
            text: ({ value }) => formatLoss(value, curve.measure),
            order: ({ value }) => value,
          },
        ],
      },
      firstPlace(),
    );
  }

  const ask = () => {
    const own = ++asked;
    clearTimeout(timer);
    timer = setTimeout(
      () =>
        hooks.ask((answer) => {
          if (own !== asked) return;
          curves = answer;
          draw();
        }),
      SETTLE_MS,
    );
  };
  onThemeChange(draw);
  return {
    show(plan, request) {
      const isOther = request.budget.kind !== budget;
      budget = request.budget.kind;
      if (plan.checkpoint.path !== shownPlan?.checkpoint.path) curves = undefined;
      // What waits for the analysis is asked for again when there is news of it.
      if (plan !== shownPlan || curves === null) ask();
      if (isOther || curves === undefined) draw();
      shownPlan = plan;
    },
  };
}
