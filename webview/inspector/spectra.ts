import { type ErrorData, errorData } from '../../src/base/errors.ts';
import { elementCount } from '../../src/base/shape.ts';
import type { CheckpointView, MatrixView, Spectrum } from '../../src/protocol/service.ts';
import { rankOutcomes } from './rankOutcome.ts';

/** What the page has of the spectrum of one matrix. */
export type SpectrumState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly error: ErrorData }
  | {
      readonly kind: 'ready';
      readonly singularValues: readonly number[];
      readonly outcomes: ReturnType<typeof rankOutcomes>;
    };

/** Spectra kept on the page: walking back and forth between a few matrices must not ask again. */
const KEPT = 32;

export interface Spectra {
  /** The spectrum of `matrix`, asked for where it is not here yet; `changed` tells when it came. */
  get(checkpoint: CheckpointView, matrix: MatrixView): SpectrumState;
  forget(name?: string): void;
}

export function createSpectra(ask: (name: string) => Promise<Spectrum>, changed: (name: string) => void): Spectra {
  const states = new Map<string, SpectrumState>();
  /** Which checkpoint the entries belong to: an answer for an older one is dropped. */
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
        // Last used goes last, so that the first is the one to drop.
        states.delete(name);
        states.set(name, known);
        return known;
      }
      const loading: SpectrumState = { kind: 'loading' };
      states.set(name, loading);
      if (states.size > KEPT) states.delete(states.keys().next().value!);
      const asked = era;
      ask(name).then(
        ({ singularValues }) =>
          settle(name, asked, {
            kind: 'ready',
            singularValues,
            outcomes: rankOutcomes(shape, bytesPerParameter(checkpoint, matrix), singularValues),
          }),
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

/** Stored bytes per element of the tensor a matrix came from; the checkpoint's average where the matrix is only a part of one. */
export function bytesPerParameter(checkpoint: CheckpointView, { name }: MatrixView): number {
  const tensor = checkpoint.tensors.find((one) => one.name === name);
  const elements = tensor ? elementCount(tensor.shape) : 0;
  if (tensor && elements > 0) return tensor.bytes / elements;
  return checkpoint.parameters > 0 ? checkpoint.bytes / checkpoint.parameters : 0;
}
