/** A submission should end about so soon: cancelling and other programs' frames wait for it, and drivers end what takes seconds. */
const QUICK_MS = 10;
const SLOW_MS = 50;
/** Operations: what the slowest device does in a moment, and more than the fastest one does. */
const LEAST = 2 ** 20;
const MOST = 2 ** 38;
const START = 2 ** 28;

/**
 * How much work one submission may hold. Devices differ by a factor of 10,000, and none says how fast it is: the limit follows what
 * submissions took.
 */
export class SubmissionBudget {
  private limit = START;
  private idleFrom = 0;

  /** In operations on numbers. */
  get most(): number {
    return this.limit;
  }

  /** @param submitted when it was submitted, in ms; it began once the one before it was done */
  learn(work: number, submitted: number, done: number): void {
    const took = done - Math.max(submitted, this.idleFrom);
    this.idleFrom = done;
    if (took > SLOW_MS) this.limit = Math.max(LEAST, Math.min(this.limit / 2, (work * SLOW_MS) / 2 / took));
    // A submission that was no full one shows nothing about full ones.
    else if (took < QUICK_MS && work > this.limit / 4) this.limit = Math.min(MOST, this.limit * 2);
  }
}
