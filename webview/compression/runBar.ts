import type { CompressionStage } from '../../src/model/compression.ts';
import type { CompressionSnapshot } from '../../src/protocol/page.ts';
import { button } from '../ui/controls.ts';
import { element, setText, throttled } from '../ui/dom.ts';
import { formatDuration } from '../ui/format.ts';

interface RunHooks {
  readonly cancel: () => void;
  readonly again: () => void;
}

const STAGES: Readonly<Record<CompressionStage, string>> = {
  text: 'Text',
  plan: 'Plan',
  blocks: 'Blocks',
  write: 'Writing',
  measure: 'Measuring',
  smokeTest: 'Trying the file',
};

/** Stage, progress and time left of a compression, with buttons that stop it and go on. */
export function createRunBar(hooks: RunHooks): {
  readonly element: HTMLElement;
  show(snapshot: CompressionSnapshot): void;
} {
  const stop = button({ label: 'Stop', title: 'Stop; what is finished is kept', onClick: hooks.cancel });
  const again = button({ label: 'Go on', appearance: 'primary', onClick: hooks.again });
  const bar = element('progress', { attributes: { 'aria-label': 'Progress of the compression' } });
  const line = element('span');
  const spoken = element('span', { class: 'visually-hidden', attributes: { role: 'status' } });
  // A screen reader must not read out every step of a long run.
  const speak = throttled(10_000, (text: string) => setText(spoken, text));
  const root = element(
    'section',
    { class: 'run', attributes: { 'aria-label': 'Compression' } },
    stop.element,
    again.element,
    bar,
    line,
    spoken,
  );
  let last: string | null = null;
  return {
    element: root,
    show(snapshot) {
      const { run } = snapshot;
      const running = run.status === 'running';
      root.hidden = run.status === 'idle' || run.status === 'done';
      stop.set({ hidden: !running });
      again.set({ hidden: running, label: run.status === 'failed' ? 'Try again' : 'Go on' });
      bar.hidden = !running;
      if (run.total > 0) {
        bar.max = run.total;
        bar.value = run.done;
      } else bar.removeAttribute('value');
      const text = runText(snapshot);
      setText(line, text);
      if (run.status !== last) setText(spoken, text);
      else if (running) speak(text);
      last = run.status;
    },
  };
}

function runText({ run, stage, asked, blocks }: CompressionSnapshot): string {
  if (run.status === 'cancelled')
    return `Stopped: ${asked}. ${blocks.length > 0 ? `${blocks.length} blocks are finished and kept.` : ''}`;
  if (run.status === 'failed') return `Not compressed: ${asked}`;
  const share = run.total > 0 ? `${Math.floor((100 * run.done) / run.total)} %` : '';
  const left = run.secondsLeft === null ? '' : `${formatDuration(run.secondsLeft)} left`;
  return [asked, STAGES[stage], share, run.message, left].filter(Boolean).join(' · ');
}
