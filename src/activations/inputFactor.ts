import { RankscopeError } from '../base/errors.ts';
import type { Slice } from './llamaNames.ts';
import type { InputFactor, Statistics } from './statistics.ts';

/** The statistics of the n inputs of a matrix in a file. */
export function inputFactor({ summary, file }: Statistics, { entry, slice }: Slice, inputs: number): InputFactor {
  const { kind } = summary;
  const refused = (code: 'not-finite' | 'malformed', found: string) =>
    new RankscopeError(code, summary.path, `its statistics of ${entry.name} ${found}`, 'Collect the statistics again');
  return {
    kind,
    inputs,
    tokens: entry.tokens(slice),
    identity: () => [file, entry.storage, kind, slice],
    async read(row, out, signal) {
      await entry.read(slice * inputs + row * inputs, out, signal);
      if (!out.every(Number.isFinite)) throw refused('not-finite', 'contain NaN or infinity');
      if (kind === 'full') return;
      if (out.some((value) => value < 0)) throw refused('malformed', 'contain a negative sum of squares');
      for (let i = 0; i < out.length; i++) out[i] = Math.sqrt(out[i]!);
    },
  };
}
