import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { RankscopeError } from '../../base/errors.ts';
import type { Backend, RowSource } from '../../devices/backend.ts';
import type {
  DiffedHead,
  DiffedSpectra,
  DifferenceSpectrum,
  PrincipalAngles,
  SubspaceTurn,
} from '../../model/diff/diff.ts';
import type { HeadBlock } from '../../model/heads.ts';
import { exactSpectrum } from '../../spectrum/exact.ts';
import { measures } from '../../spectrum/measures.ts';
import { pairSums } from '../../spectrum/pairSums.ts';
import { subspaceTurn } from '../../spectrum/subspaceTurn.ts';
import { truncatedSvd } from '../../spectrum/truncated.ts';
import type { Devices } from '../devices/devices.ts';
import { blockRows, differenceRows, heldRows } from './rows.ts';

/** Singular values of a difference that are reported. */
const REPORTED = 256;

/** The spectra of two matrices of one size, in [out, in] terms, and of their difference. */
export interface MatrixSpectra {
  readonly difference: DifferenceSpectrum;
  readonly valueChange: number | null;
  readonly turn: SubspaceTurn;
  readonly spectra?: DiffedSpectra;
}

/**
 * Computes the spectrum of other - base, and the `rank` leading triplets of both: how much their values change and how
 * far their subspaces turn. On request with all singular values of both.
 */
export async function compareSpectra(
  backend: Backend,
  base: RowSource,
  other: RowSource,
  { rank, whole, signal }: { rank: number; whole: boolean; signal: AbortSignal | undefined },
): Promise<MatrixSpectra> {
  const { singularValues } = await exactSpectrum(backend, differenceRows(base, other), { signal });
  const one = await truncatedSvd(backend, base, rank, { signal });
  const two = await truncatedSvd(backend, other, rank, { signal });
  const squares = (values: Float64Array) => values.reduce((sum, value) => sum + value * value, 0);
  const moved = squares(two.values.map((value, i) => value - one.values[i]!));
  const size = squares(one.values);
  const [left, right] = [subspaceTurn(one.left, two.left, rank), subspaceTurn(one.right, two.right, rank)];
  return {
    difference: differenceSpectrum(singularValues, [base.rows, base.cols]),
    valueChange: size > 0 ? Math.sqrt(moved / size) : null,
    turn: { rank, left: summedUp(left), right: summedUp(right) },
    ...(whole && {
      spectra: {
        base: await valuesOf(backend, base, signal),
        other: await valuesOf(backend, other, signal),
        difference: [...singularValues],
        angles: { left: left.all, right: right.all },
      },
    }),
  };
}

/** The spectra of a matrix that is equal in both models. */
export async function equalSpectra(
  backend: Backend,
  source: RowSource,
  signal: AbortSignal | undefined,
): Promise<DiffedSpectra> {
  const values = await valuesOf(backend, source, signal);
  return { base: values, other: values, difference: [], angles: { left: [], right: [] } };
}

async function valuesOf(backend: Backend, source: RowSource, signal: AbortSignal | undefined): Promise<number[]> {
  const { singularValues } = await exactSpectrum(backend, source, { signal });
  return [...singularValues];
}

const summedUp = ({ largest, mean }: PrincipalAngles): PrincipalAngles => ({ largest, mean });

function differenceSpectrum(values: Float64Array, shape: readonly [number, number]): DifferenceSpectrum {
  const { spectralNorm, effectiveRank, stableRank, numericalRank, energyRanks } = measures(values, shape, 0);
  const singularValues = Array.from(values.subarray(0, REPORTED));
  return { spectralNorm, effectiveRank, stableRank, numericalRank, energyRanks, singularValues };
}

/** The change and the ranks of each attention head of a matrix. */
export async function compareHeads(
  devices: Devices,
  engine: DeviceRequest,
  base: RowSource,
  other: RowSource,
  blocks: readonly HeadBlock[],
  signal: AbortSignal | undefined,
): Promise<DiffedHead[]> {
  const heads: DiffedHead[] = [];
  const held = [await heldRows(base, signal), await heldRows(other, signal)] as const;
  for (const block of blocks) {
    const [one, two] = [blockRows(held[0], block), blockRows(held[1], block)];
    const sums = await pairSums(one, two, signal, ['the base', 'the other model']);
    const shape = [one.rows, one.cols] as const;
    const spectrumOf = async (source: RowSource) => {
      const job = (backend: Backend) => exactSpectrum(backend, source, { signal });
      const { singularValues } = await devices.run(engine, base.name, { signal }, job);
      return measures(singularValues, shape, 0);
    };
    const own = await spectrumOf(two);
    const moved = sums.difference > 0 ? await spectrumOf(differenceRows(one, two)) : undefined;
    heads.push({
      change: ratio(sums.difference, sums.base),
      rank: own.effectiveRank,
      stableRank: own.stableRank,
      differenceRank: moved?.energyRanks['0.99'] ?? 0,
    });
  }
  return heads;
}

/** sqrt(part / whole), or null where the whole is zero. */
export function ratio(part: number, whole: number): number | null {
  return whole > 0 ? Math.sqrt(part / whole) : null;
}

/** The dimension of the compared subspaces: as asked for, but at most a quarter of the matrix: beyond, all turns. */
export function turnRank(wanted: number, rows: number, cols: number): number {
  return Math.max(1, Math.min(wanted, Math.floor(Math.min(rows, cols) / 4)));
}

/** @throws RankscopeError 'wrong-use' for a dimension that is no positive whole number */
export function checkedSubspace(subspace = 16): number {
  if (Number.isSafeInteger(subspace) && subspace >= 1 && subspace <= 256) return subspace;
  throw new RankscopeError('wrong-use', 'subspace', `${subspace} directions`, 'Take a whole number from 1 to 256');
}
