import { baseName } from '../../src/base/paths.ts';
import type { PlanRequest } from '../../src/model/plan/plan.ts';
import type { PlanMeasure } from '../../src/protocol/page.ts';
import { button, numberField } from '../ui/controls.ts';
import { element, setText } from '../ui/dom.ts';
import { field } from './field.ts';

export interface MeasureHooks {
  readonly chooseText: () => void;
  readonly limitMinutes: (minutes: number | null) => void;
  readonly start: () => void;
}

/** What the spreads by activations and by loss need: a text, a time, and a start. */
export function createMeasureFields(hooks: MeasureHooks): {
  readonly element: HTMLElement;
  show(request: PlanRequest, measure: PlanMeasure): void;
} {
  const text = element('button', {
    class: 'link name',
    attributes: { type: 'button' },
    on: { click: () => hooks.chooseText() },
  });
  const statistics = element('p', { class: 'faint help' });
  const minutes = numberField('Minutes that measuring may take', 1, 100_000, hooks.limitMinutes);
  minutes.element.placeholder = 'no limit';
  const start = button({
    label: 'Start measuring',
    title: 'Pass the text through the model, which takes minutes; other budgets then cost nothing',
    onClick: () => hooks.start(),
  });
  const minutesField = field('Minutes', minutes.element);
  return {
    element: element('div', { class: 'measure' }, field('Text', text), statistics, minutesField, start.element),
    show(request, measure) {
      const isLoss = request.spread === 'loss';
      const isGiven = measure.statistics !== null;
      setText(text, measure.text === null ? 'Choose a text…' : baseName(measure.text));
      text.title = measure.text ?? 'A text of the kind that the model is used for';
      statistics.hidden = !isGiven;
      const use = isLoss ? 'The text is for the loss alone.' : 'No text is needed.';
      setText(statistics, isGiven ? `Activations come from ${baseName(measure.statistics!)}. ${use}` : '');
      minutesField.hidden = !isLoss;
      minutes.set(measure.minutes);
      const canStart = measure.text !== null || (isGiven && !isLoss);
      start.set({ hidden: !measure.waits, disabled: !canStart });
    },
  };
}
