import { COMPARISON_MEASURES } from './measures.ts';

/** What the user set on the comparison page. Kept across reloads, together with the compared adapters. */
export interface ComparisonView {
  readonly measure: string;
  readonly layer: string | null;
  /** Needed to restore the page in a restored window. */
  readonly paths: readonly string[];
}

/** Validates a restored state, which an older version of the page may have written. */
export function restoreComparisonView(kept: unknown): ComparisonView {
  const old = (typeof kept === 'object' && kept !== null ? kept : {}) as Partial<Record<keyof ComparisonView, unknown>>;
  const paths = Array.isArray(old.paths) ? old.paths.filter((path) => typeof path === 'string') : [];
  return {
    measure: (COMPARISON_MEASURES.find(({ id }) => id === old.measure) ?? COMPARISON_MEASURES[0]!).id,
    layer: typeof old.layer === 'string' ? old.layer : null,
    paths,
  };
}
