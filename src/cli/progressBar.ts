import type { Terminal } from './command.ts';
import { shorten } from './table.ts';

const CELLS = 24;
const NAME_WIDTH = 40;
/** Shortest interval between redraws: a terminal over a slow line must not be the bottleneck. */
const INTERVAL_MS = 80;

type Step = Parameters<Terminal['progress']>[0];

/** A line that redraws itself; only on a terminal. */
export function progressBar(stream: NodeJS.WriteStream): { show: (step: Step) => void; clear: () => void } {
  let last = Number.NEGATIVE_INFINITY;
  let shown = false;
  return {
    show(step) {
      const now = performance.now();
      if (!stream.isTTY || (now - last < INTERVAL_MS && step.done < step.total)) return;
      last = now;
      shown = true;
      stream.write(`\r\u001b[K${lineOf(step)}`);
    },
    clear() {
      if (shown) stream.write('\r\u001b[K');
      shown = false;
    },
  };
}

export function lineOf({ done, total, message, secondsLeft }: Step): string {
  // The amount of work is not known yet.
  if (total === 0) return shorten(message, CELLS + NAME_WIDTH);
  const filled = Math.floor((CELLS * done) / total);
  const bar = '█'.repeat(filled) + '░'.repeat(CELLS - filled);
  const left = secondsLeft === undefined || done === total ? '' : `  ${duration(secondsLeft)} left`;
  return `${bar} ${done}/${total}  ${shorten(message, NAME_WIDTH)}${left}`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
