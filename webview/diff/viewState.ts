import type { HeadView } from './heads.ts';
import { diffMeasure } from './measures.ts';

/** What the user set on the page of two models. Kept across reloads, with the models themselves. */
export interface DiffView extends HeadView {
  readonly base: string;
  readonly other: string;
  readonly measure: string;
  readonly selected: string | null;
  readonly list: string;
}

/** Validates a restored state, which an older version of the page may have written. */
export function restoreDiffView(kept: unknown): DiffView {
  const old = (typeof kept === 'object' && kept !== null ? kept : {}) as Partial<Record<keyof DiffView, unknown>>;
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  const nullable = (value: unknown) => (typeof value === 'string' ? value : null);
  return {
    base: text(old.base),
    other: text(old.other),
    measure: diffMeasure(text(old.measure)).id,
    selected: nullable(old.selected),
    list: text(old.list),
    headModule: nullable(old.headModule),
    headMeasure: text(old.headMeasure),
    heads: text(old.heads),
  };
}
