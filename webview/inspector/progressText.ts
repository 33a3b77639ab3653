import type { DeviceInfo } from '../../src/base/deviceInfo.ts';
import { formatWhole } from '../../src/base/quantities.ts';
import type { RunState } from '../../src/protocol/page.ts';
import { formatDuration } from '../ui/format.ts';

/** The rate of the current run, as observed by the page. */
export interface Rate {
  /** Time (milliseconds) and count when the current run was first seen. */
  readonly since: number;
  readonly from: number;
  /** The latest count; a lower one means that a new run has started. */
  readonly last: number;
  readonly perSecond: number | null;
}

/** The rate after seeing `run` at `now` (milliseconds); a new run starts over. */
export function followRate(rate: Rate | null, run: RunState, now: number): Rate | null {
  if (run.status !== 'running') return null;
  if (!rate || run.done < rate.last) return { since: now, from: run.done, last: run.done, perSecond: null };
  const seconds = (now - rate.since) / 1000;
  // In the first half second results often come from the cache, and the rate would promise too much.
  const perSecond = seconds >= 0.5 && run.done > rate.from ? (run.done - rate.from) / seconds : rate.perSecond;
  return { ...rate, last: run.done, perSecond };
}

/** The progress of a run in one line. */
export function progressText(run: RunState, rate: Rate | null): string {
  const count = `${formatWhole(run.done)} of ${formatWhole(run.total)} matrices`;
  if (run.status === 'idle') return run.total > 0 ? `${count} known` : 'Not analyzed yet';
  if (run.status === 'done') return `Done: ${formatWhole(run.total)} matrices analyzed`;
  if (run.status === 'cancelled') return `Stopped after ${count}`;
  if (run.status === 'failed') return run.total > 0 ? `Failed after ${count}` : 'Failed';
  const parts = [count];
  if (rate?.perSecond) parts.push(rateText(rate.perSecond));
  if (run.secondsLeft !== null) parts.push(`${formatDuration(run.secondsLeft)} left`);
  return parts.join(' · ');
}

/** `CPU, 8 threads: no GPU adapter found`. */
export function engineText(engine: DeviceInfo): string {
  // The reason often names the threads already.
  const named = engine.threads <= 1 || engine.reason.includes('thread');
  const threads = named ? '' : `, ${engine.threads} threads`;
  return `${engine.device || engine.name}${threads}${engine.reason ? `: ${engine.reason}` : ''}`;
}

function rateText(perSecond: number): string {
  return perSecond >= 1
    ? `${perSecond >= 10 ? formatWhole(perSecond) : perSecond.toFixed(1)} per second`
    : `${formatDuration(1 / perSecond)} each`;
}
