import { type ErrorData, errorData } from '../../src/base/errors.ts';
import type { DiffedMatrix, DiffedSpectra } from '../../src/model/diff/diff.ts';

/** The state of a matrix's spectra on the page. */
export type SpectraState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly error: ErrorData }
  | { readonly kind: 'ready'; readonly spectra: DiffedSpectra };

/** Answers that are kept, so that going back and forth between a few matrices computes none again. */
const KEPT = 16;

/** Asks for the spectra of a matrix when they are first wanted; `changed` is called when they have come. */
export function createDiffSpectra(
  ask: (name: string) => Promise<readonly DiffedMatrix[]>,
  changed: () => void,
): { get(matrix: DiffedMatrix): SpectraState; forget(): void } {
  const states = new Map<string, SpectraState>();
  /** Counts the comparisons; an answer for an earlier one is dropped. */
  let era = 0;
  const idOf = ({ name, role }: DiffedMatrix) => `${name} ${role}`;
  return {
    forget() {
      era++;
      states.clear();
    },
    get(matrix) {
      const id = idOf(matrix);
      const known = states.get(id);
      if (known) return known;
      const loading: SpectraState = { kind: 'loading' };
      states.set(id, loading);
      if (states.size > KEPT) states.delete(states.keys().next().value!);
      const asked = era;
      const settle = (key: string, state: SpectraState) => {
        if (asked === era) states.set(key, state);
      };
      ask(matrix.name)
        .then(
          (found) => {
            for (const each of found) if (each.spectra) settle(idOf(each), { kind: 'ready', spectra: each.spectra });
          },
          (error: unknown) => settle(id, { kind: 'failed', error: errorData(error, matrix.name) }),
        )
        .finally(changed);
      return loading;
    },
  };
}
