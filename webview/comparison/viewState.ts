import { COMPARISON_MEASURES } from './measures.ts';

/** What the person chose on the page of a comparison: kept over reloads, with the adapters that it is of. */
export interface ComparisonView {
  readonly measure: string;
  readonly layer: string | null;
  /** The window that is restored asks for them. */
  readonly paths: readonly string[];
}

/** ViewState as they were kept, each checked: an older version of the page, or nobody, may have written them. */
export function restoreComparisonView(kept: unknown): ComparisonView {
  const old = (typeof kept === 'object' && kept !== null ? kept : {}) as Partial<Record<keyof ComparisonView, unknown>>;
  const paths = Array.isArray(old.paths) ? old.paths.filter((path) => typeof path === 'string') : [];
  return {
    measure: (COMPARISON_MEASURES.find(({ id }) => id === old.measure) ?? COMPARISON_MEASURES[0]!).id,
    layer: typeof old.layer === 'string' ? old.layer : null,
    paths,
  };
}
