/** What the user set on the page. Kept across reloads, together with the checkpoint. */
export interface EvaluationView {
  /** The shown text, by its key; null shows that of the last run. */
  readonly text: string | null;
  readonly selected: string | null;
  /** Whether the axis of perplexity is logarithmic; null decides by the numbers. */
  readonly log: boolean | null;
  /** Needed to restore the page in a restored window. */
  readonly path: string;
}

/** Validates a restored state, which an older version of the page may have written. */
export function restoreEvaluationView(kept: unknown): EvaluationView {
  const old = (typeof kept === 'object' && kept !== null ? kept : {}) as Partial<Record<keyof EvaluationView, unknown>>;
  const text = (value: unknown) => (typeof value === 'string' ? value : null);
  return {
    text: text(old.text),
    selected: text(old.selected),
    log: typeof old.log === 'boolean' ? old.log : null,
    path: text(old.path) ?? '',
  };
}
