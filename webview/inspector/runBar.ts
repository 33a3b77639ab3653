import type { DeviceInfo } from '../../src/base/deviceInfo.ts';
import type { RunState } from '../../src/protocol/page.ts';
import { button } from '../ui/controls.ts';
import { element, fill, setText, throttled } from '../ui/dom.ts';
import { engineText, followRate, progressText, type Rate } from './progressText.ts';

interface RunBarActions {
  readonly run: () => void;
  readonly cancel: () => void;
  readonly measure: () => void;
  readonly activations: () => void;
}

/** Progress, rate, time left and engine of the analysis, with buttons that start, cancel and resume it. */
export function createRunBar(
  root: HTMLElement,
  actions: RunBarActions,
): { show(run: RunState, engine: DeviceInfo | null): void } {
  const start = button({ label: 'Analyze', appearance: 'primary', onClick: actions.run });
  const stop = button({ label: 'Cancel', onClick: actions.cancel });
  const measure = button({
    label: 'Measure perplexity…',
    title: 'Measure how much worse the model gets at each rank',
    onClick: actions.measure,
  });
  const activations = button({
    label: 'Activations…',
    title: 'Use or collect statistics of the activations on a text',
    onClick: actions.activations,
  });
  const bar = element('progress', { attributes: { 'aria-label': 'Analysis progress' } });
  const text = element('span', { class: 'progress-text' });
  const message = element('span', { class: 'faint message' });
  const device = element('span', { class: 'faint engine' });
  const spoken = element('span', { class: 'visually-hidden', attributes: { role: 'status' } });
  // A screen reader must not read out every step of a long run.
  const speak = throttled(10_000, (line: string) => setText(spoken, line));
  fill(
    root,
    start.element,
    stop.element,
    bar,
    text,
    message,
    element('span', { class: 'spring' }),
    device,
    activations.element,
    measure.element,
    spoken,
  );
  let rate: Rate | null = null;
  let last: RunState['status'] | null = null;
  return {
    show(run, engine) {
      rate = followRate(rate, run, performance.now());
      const running = run.status === 'running';
      const begun = run.done > 0 && run.done < run.total;
      start.set({
        hidden: running || run.status === 'done',
        label: begun ? 'Resume' : run.status === 'failed' ? 'Try again' : 'Analyze',
      });
      stop.set({ hidden: !running });
      bar.hidden = !running && !begun;
      if (run.total > 0) {
        bar.max = run.total;
        bar.value = run.done;
      } else bar.removeAttribute('value');
      const line = progressText(run, rate);
      setText(text, line);
      setText(message, running || run.status === 'failed' ? run.message : '');
      message.title = run.message;
      setText(device, engine ? engineText(engine) : '');
      if (run.status !== last) setText(spoken, line);
      else if (running) speak(line);
      last = run.status;
    },
  };
}
