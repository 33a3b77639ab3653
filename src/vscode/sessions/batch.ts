import type { InspectorUpdate } from '../../protocol/page.ts';

/** How long changes are gathered before pages are told: twenty messages a second are as good as a thousand to the eye. */
const BATCH_MS = 50;

/** Gathers updates and hands them on together; lists are joined, of other fields the last one counts. */
export class Batch {
  private gathered: InspectorUpdate | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly deliver: (update: InspectorUpdate) => void) {}

  add(update: InspectorUpdate): void {
    const before = this.gathered;
    this.gathered = { ...before, ...update };
    if (before?.findings && update.findings) {
      this.gathered = { ...this.gathered, findings: [...before.findings, ...update.findings] };
    }
    if (before?.skipped && update.skipped) {
      this.gathered = { ...this.gathered, skipped: [...before.skipped, ...update.skipped] };
    }
    this.timer ??= setTimeout(() => this.flush(), BATCH_MS);
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const update = this.gathered;
    this.gathered = undefined;
    if (update) this.deliver(update);
  }
}
