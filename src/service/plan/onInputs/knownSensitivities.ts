import type { Sensitivities } from '../../../model/plan/sensitivities.ts';

/** Those of a large model take tens of megabytes. */
const KEPT = 4;

interface Entry {
  readonly sensitivities: Sensitivities;
  readonly minutes: number | undefined;
}

/** What was measured last, so that another budget costs nothing. */
export class KnownSensitivities {
  private readonly entries = new Map<string, Entry>();

  /** Divergences that were filled in for want of time serve only those who allow no more of it. */
  get(key: string, minutes: number | undefined): Sensitivities | undefined {
    const entry = this.entries.get(key);
    if (!entry) return undefined;
    const { sensitivities, minutes: before = Number.POSITIVE_INFINITY } = entry;
    const isWhole = (sensitivities.divergences?.filledIn ?? 0) === 0;
    return isWhole || (minutes ?? Number.POSITIVE_INFINITY) <= before ? sensitivities : undefined;
  }

  put(key: string, sensitivities: Sensitivities, minutes: number | undefined): void {
    this.entries.delete(key);
    this.entries.set(key, { sensitivities, minutes });
    for (const oldest of this.entries.keys()) {
      if (this.entries.size <= KEPT) break;
      this.entries.delete(oldest);
    }
  }

  clear(): void {
    this.entries.clear();
  }
}
