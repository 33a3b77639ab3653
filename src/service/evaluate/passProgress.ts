import type { EvaluateProgress } from '../../protocol/service.ts';

/** Earlier, the rate is not known. */
const KNOWN_SHARE = 0.01;

/** Turns the share of a forward pass that is done into blocks, with the time left. */
export function passProgress(
  layers: number,
  report: ((value: EvaluateProgress) => void) | undefined,
): (share: number) => void {
  const started = performance.now();
  const total = layers + 1;
  return (share) => {
    const done = Math.floor(share * total + 1e-9);
    const seconds = (performance.now() - started) / 1000;
    const message = done < layers ? `Block ${done + 1} of ${layers}` : 'Head';
    report?.({
      done,
      total,
      message,
      ...(share < KNOWN_SHARE ? {} : { secondsLeft: (seconds / share) * (1 - share) }),
    });
  };
}
