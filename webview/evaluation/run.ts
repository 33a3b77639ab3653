import type { RunState } from '../../src/protocol/page.ts';
import { button } from '../ui/controls.ts';
import { element, setText, throttled } from '../ui/dom.ts';
import { formatDuration } from '../ui/format.ts';

interface RunHooks {
  readonly cancel: () => void;
  readonly again: () => void;
}

/** Progress and time left of the current evaluation, with buttons that cancel and repeat it. */
export function createEvaluationRun(hooks: RunHooks): {
  readonly element: HTMLElement;
  /** `asked` says what is measured. */
  show(run: RunState, asked: string): void;
} {
  const stop = button({ label: 'Cancel', onClick: hooks.cancel });
  const again = button({ label: 'Measure again', appearance: 'primary', onClick: hooks.again });
  const bar = element('progress', { attributes: { 'aria-label': 'Progress of the evaluation' } });
  const line = element('span');
  const spoken = element('span', { class: 'visually-hidden', attributes: { role: 'status' } });
  // A screen reader must not read out every step of a long run.
  const speak = throttled(10_000, (text: string) => setText(spoken, text));
  const root = element(
    'section',
    { class: 'run', attributes: { 'aria-label': 'Evaluation' } },
    stop.element,
    again.element,
    bar,
    line,
    spoken,
  );
  let last: RunState['status'] | null = null;
  return {
    element: root,
    show(run, asked) {
      const running = run.status === 'running';
      root.hidden = run.status === 'idle' || run.status === 'done';
      stop.set({ hidden: !running });
      again.set({ hidden: running || asked === '' });
      bar.hidden = !running;
      if (run.total > 0) {
        bar.max = run.total;
        bar.value = run.done;
      } else bar.removeAttribute('value');
      const text = runText(run, asked);
      setText(line, text);
      if (run.status !== last) setText(spoken, text);
      else if (running) speak(text);
      last = run.status;
    },
  };
}

function runText(run: RunState, asked: string): string {
  if (run.status !== 'running') return run.status === 'cancelled' ? `Stopped: ${asked}` : `Not measured: ${asked}`;
  const share = run.total > 0 ? `${Math.floor((100 * run.done) / run.total)} %` : '';
  const left = run.secondsLeft === null ? '' : `${formatDuration(run.secondsLeft)} left`;
  return [asked, share, run.message, left].filter(Boolean).join(' · ');
}
