import { formatWhole } from '../../src/base/quantities.ts';
import type { RunState } from '../../src/protocol/page.ts';
import { button } from './controls.ts';
import { element, setText } from './dom.ts';

/** How far the work of a page is, and a button that stops it. */
export interface RunProgress {
  readonly stop: HTMLElement;
  readonly bar: HTMLElement;
  readonly text: HTMLElement;
  /** Whether it runs, or was stopped: otherwise there is nothing to see. */
  show(run: RunState): boolean;
}

interface ProgressWords {
  /** Of the bar, for those who do not see it. */
  readonly label?: string;
  /** What the steps of the work are, such as 'layers'. */
  readonly steps?: string;
}

export function createRunProgress(
  cancel: () => void,
  { label = 'Progress', steps: unit }: ProgressWords = {},
): RunProgress {
  const stop = button({ label: 'Cancel', onClick: cancel });
  const bar = element('progress', { attributes: { 'aria-label': label } });
  const text = element('span', { attributes: { role: 'status' } });
  return {
    stop: stop.element,
    bar,
    text,
    show({ status, done, total, message }) {
      const running = status === 'running';
      stop.set({ hidden: !running });
      bar.hidden = !running;
      if (total > 0) {
        bar.max = total;
        bar.value = done;
      } else bar.removeAttribute('value');
      const count = total > 0 ? [formatWhole(done), 'of', formatWhole(total), unit].filter(Boolean).join(' ') : '';
      const steps = [count, message].filter(Boolean).join(' · ');
      setText(text, running ? steps : status === 'cancelled' ? 'Stopped' : '');
      return running || status === 'cancelled';
    },
  };
}
