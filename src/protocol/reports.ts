/** A report may wait so long for others: a message for each of a thousand small matrices would keep both ends busy with messages. */
const GATHER_MS = 20;
/** So many of them, each with a finding, are a message that is taken in at once. */
const GATHERED = 100;

/** Hands on reports of progress in their order, several at a time. */
export class Reports {
  private gathered: unknown[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly deliver: (reports: readonly unknown[]) => void) {}

  add(report: unknown): void {
    this.gathered.push(report);
    if (this.gathered.length >= GATHERED) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  /** What is said last is said before the answer. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const reports = this.gathered;
    this.gathered = [];
    if (reports.length > 0) this.deliver(reports);
  }
}
