import { type ErrorData, errorData } from '../../src/base/errors.ts';
import { elementCount } from '../../src/base/shape.ts';
import type { CheckpointView, MatrixView, Spectrum } from '../../src/protocol/service.ts';
import { rankOutcomes } from './rankOutcome.ts';

/** The state of a matrix's spectrum on the page. */
export type SpectrumState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly error: ErrorData }
  | {
      readonly kind: 'ready';
      readonly singularValues: readonly number[];
      readonly outcomes: ReturnType<typeof rankOutcomes>;
      /** The singular values of W X and what its ranks keep; undefined without statistics. */
      readonly seen:
        | {
            readonly singularValues: readonly number[];
            readonly outcomes: ReturnType<typeof rankOutcomes>;
          }
        | undefined;
    };

/** Spectra kept on the page, so that going back and forth between a few matrices requests none again. */
const KEPT = 32;

export interface Spectra {
  /** The spectrum of `matrix`, requested if it is not known; `changed` is called when it arrives. */
  get(checkpoint: CheckpointView, matrix: MatrixView): SpectrumState;
  forget(name?: string): void;
}

export function createSpectra(ask: (name: string) => Promise<Spectrum>, changed: (name: string) => void): Spectra {
  const states = new Map<string, SpectrumState>();
  /** Counts the checkpoints shown; an answer for an earlier one is dropped. */
  let era = 0;
  const settle = (name: string, asked: number, state: SpectrumState) => {
    if (asked !== era) return;
    states.set(name, state);
    changed(name);
  };
  return {
    get(checkpoint, matrix) {
      const { name, shape } = matrix;
      const known = states.get(name);
      if (known) {
        // Moved to the end, so that the least recently used comes first.
        states.delete(name);
        states.set(name, known);
        return known;
      }
      const loading: SpectrumState = { kind: 'loading' };
      states.set(name, loading);
      if (states.size > KEPT) states.delete(states.keys().next().value!);
      const asked = era;
      ask(name).then(
        ({ singularValues, activations }) => {
          const outcomesOf = (values: readonly number[]) =>
            rankOutcomes(shape, bytesPerParameter(checkpoint, matrix), values);
          settle(name, asked, {
            kind: 'ready',
            singularValues,
            outcomes: outcomesOf(singularValues),
            seen: activations?.singularValues && {
              singularValues: activations.singularValues,
              outcomes: outcomesOf(activations.singularValues),
            },
          });
        },
        (error: unknown) => settle(name, asked, { kind: 'failed', error: errorData(error, name) }),
      );
      return loading;
    },
    forget(name) {
      if (name !== undefined) states.delete(name);
      else {
        era++;
        states.clear();
      }
    },
  };
}

/** Stored bytes per element of a matrix's tensor; the checkpoint's average if the matrix is part of a tensor. */
export function bytesPerParameter(checkpoint: CheckpointView, { name }: MatrixView): number {
  const tensor = checkpoint.tensors.find((one) => one.name === name);
  const elements = tensor ? elementCount(tensor.shape) : 0;
  if (tensor && elements > 0) return tensor.bytes / elements;
  return checkpoint.parameters > 0 ? checkpoint.bytes / checkpoint.parameters : 0;
}
