/**
 * The aim for a submission: cancellations and other programs' frames wait for it, and drivers reset a device after
 * seconds.
 */
const QUICK_MS = 10;
const SLOW_MS = 50;
/** Operations: what the slowest device does in a moment, and more than the fastest does. */
const LEAST = 2 ** 20;
const MOST = 2 ** 38;
const START = 2 ** 28;

/**
 * How much work a submission may hold. Devices differ in speed by a factor of 10,000 and do not report it, so the
 * budget adapts to how long submissions take.
 */
export class SubmissionBudget {
  private limit = START;
  private idleFrom = 0;

  /** Arithmetic operations. */
  get most(): number {
    return this.limit;
  }

  /** @param submitted time in ms, as `done`; a submission starts when the one before it is done */
  learn(work: number, submitted: number, done: number): void {
    const took = done - Math.max(submitted, this.idleFrom);
    this.idleFrom = done;
    if (took > SLOW_MS) this.limit = Math.max(LEAST, Math.min(this.limit / 2, (work * SLOW_MS) / 2 / took));
    // A small submission says nothing about full ones.
    else if (took < QUICK_MS && work > this.limit / 4) this.limit = Math.min(MOST, this.limit * 2);
  }
}
