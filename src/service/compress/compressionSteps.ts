import {
  COMPRESSION_STAGES,
  type CompressionEstimate,
  type CompressionProgress,
  type CompressionStage,
} from '../../model/compression.ts';

/** Seconds of work before the estimate is corrected by what was measured, and the most that it is corrected by. */
const KNOWN_AFTER = 2;
const MOST = 8;

/** Reports the progress of a compression, with the time left: the estimate, corrected by the pace so far. */
export class CompressionSteps {
  private started = performance.now();
  private readonly ended = new Set<CompressionStage>();
  private estimate: CompressionEstimate | undefined;

  constructor(private readonly report: ((value: CompressionProgress) => void) | undefined) {}

  /** Counts from now on; what was done before is not part of the estimate. */
  estimated(estimate: CompressionEstimate, message: string): void {
    this.estimate = estimate;
    this.started = performance.now();
    this.report?.({ done: 0, total: 0, message, stage: 'text', secondsLeft: estimate.secondsTotal, estimate });
  }

  tell(stage: CompressionStage, step: Omit<CompressionProgress, 'stage'>): void {
    for (const earlier of COMPRESSION_STAGES) {
      if (earlier === stage) break;
      this.ended.add(earlier);
    }
    const secondsLeft = this.secondsLeft(stage, step.total > 0 ? Math.min(1, step.done / step.total) : 0);
    this.report?.({ stage, ...step, ...(secondsLeft === undefined ? {} : { secondsLeft }) });
  }

  /** A listener for calls that report steps. */
  of(stage: CompressionStage): (step: { done: number; total: number; message: string }) => void {
    return ({ done, total, message }) => this.tell(stage, { done, total, message });
  }

  private secondsLeft(stage: CompressionStage, share: number): number | undefined {
    if (!this.estimate) return undefined;
    const { seconds } = this.estimate;
    const of = (one: CompressionStage) => seconds[one] ?? 0;
    const behind = [...this.ended].reduce((sum, one) => sum + of(one), 0) + share * of(stage);
    const ahead = Math.max(0, this.estimate.secondsTotal - behind);
    const elapsed = (performance.now() - this.started) / 1000;
    const pace = behind >= KNOWN_AFTER ? Math.min(MOST, Math.max(1 / MOST, elapsed / behind)) : 1;
    return ahead * pace;
  }
}
