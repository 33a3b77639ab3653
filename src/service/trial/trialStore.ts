import type { SingularTriplets } from '../../base/singularTriplets.ts';
import type { FactorizationCost, PredictedError, ProductCost, TrialResult } from '../../model/trial.ts';

/** Factors of a matrix as it is stored, from which W' ~ left diag(values) right^T is made. */
export interface TriedFactors {
  readonly triplets: SingularTriplets;
  /** Of the sketches; the exact route's follows from all singular values. */
  readonly predicted?: PredictedError;
  readonly cost: FactorizationCost;
}

type Entry = TriedFactors | ProductCost['seconds'] | Omit<TrialResult, 'method'>;

/** The factors of 30 trials of a 4096 x 4096 matrix at rank 256. */
const STORE_BYTES = 256 * 2 ** 20;
/** About what an entry takes beside its arrays. */
const OVERHEAD = 1024;

/** What was tried last, so that looking at it again costs nothing. Ordered by last use. */
export class TrialStore {
  private readonly entries = new Map<string, { readonly entry: Entry; readonly bytes: number }>();
  private bytes = 0;

  constructor(private readonly most = STORE_BYTES) {}

  factors(key: string): TriedFactors | undefined {
    return this.get<TriedFactors>(`factors ${key}`);
  }

  putFactors(key: string, entry: TriedFactors): void {
    const { left, values, right } = entry.triplets;
    this.put(`factors ${key}`, entry, left.byteLength + values.byteLength + right.byteLength);
  }

  seconds(key: string): ProductCost['seconds'] | undefined {
    return this.get<ProductCost['seconds']>(`seconds ${key}`);
  }

  putSeconds(key: string, entry: ProductCost['seconds']): void {
    this.put(`seconds ${key}`, entry, 0);
  }

  result(key: string): Omit<TrialResult, 'method'> | undefined {
    return this.get<Omit<TrialResult, 'method'>>(`result ${key}`);
  }

  putResult(key: string, entry: Omit<TrialResult, 'method'>): void {
    this.put(`result ${key}`, entry, 8 * (entry.residual.values?.length ?? 0));
  }

  clear(): void {
    this.entries.clear();
    this.bytes = 0;
  }

  private get<Kind extends Entry>(key: string): Kind | undefined {
    const found = this.entries.get(key);
    if (!found) return undefined;
    this.entries.delete(key);
    this.entries.set(key, found);
    // A key names the kind of its entry.
    return found.entry as Kind;
  }

  private put(key: string, entry: Entry, size: number): void {
    this.remove(key);
    const bytes = size + OVERHEAD;
    this.entries.set(key, { entry, bytes });
    this.bytes += bytes;
    for (const oldest of this.entries.keys()) {
      if (this.bytes <= this.most) break;
      this.remove(oldest);
    }
  }

  private remove(key: string): void {
    this.bytes -= this.entries.get(key)?.bytes ?? 0;
    this.entries.delete(key);
  }
}
