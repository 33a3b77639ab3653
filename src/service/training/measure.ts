import type { DeviceRequest } from '../../base/deviceInfo.ts';
import { concernsOneMatrix } from '../../base/errors.ts';
import type { Backend, RowSource } from '../../devices/backend.ts';
import type { HeadBlock } from '../../model/heads.ts';
import { isStored, type Matrix } from '../../model/matrix.ts';
import { CURVES } from '../../model/training/curves.ts';
import type { TrainingCurves } from '../../model/training/training.ts';
import { exactSpectrum } from '../../spectrum/exact.ts';
import { measures } from '../../spectrum/measures.ts';
import { subspaceTurn } from '../../spectrum/subspaceTurn.ts';
import { truncatedSvd } from '../../spectrum/truncated.ts';
import { compute } from '../analysis/results.ts';
import type { Devices } from '../devices/devices.ts';
import { turnRank } from '../diff/compareMatrix.ts';
import { blockRows, heldRows, orientedRows } from '../diff/rows.ts';

type Numbers = Record<keyof TrainingCurves, (number | null)[]>;

/** Leading orthonormal vectors, m x k and n x k, row-major. */
interface Subspaces {
  readonly left: Float32Array;
  readonly right: Float32Array;
}

/** The measures of one matrix or head, checkpoint after checkpoint. It keeps the subspaces of two of them. */
class Track {
  readonly curves: Numbers = Object.fromEntries(CURVES.map((key) => [key, []])) as unknown as Numbers;
  private first: Subspaces | undefined;
  private last: Subspaces | undefined;

  constructor(private readonly rank: number) {}

  add(
    measured: { effectiveRank: number; stableRank: number; frobeniusNorm: number; alpha: number | null },
    now: Subspaces | undefined,
  ): void {
    const { effectiveRank, stableRank, frobeniusNorm: norm, alpha } = measured;
    const turn = (before: Subspaces | undefined, side: 'left' | 'right') =>
      before && now ? subspaceTurn(before[side], now[side], this.rank).mean : null;
    this.first ??= now;
    this.put({
      ...{ effectiveRank, stableRank, norm, alpha },
      ...{ turnOut: turn(this.first, 'left'), turnIn: turn(this.first, 'right') },
      ...{ stepOut: turn(this.last, 'left'), stepIn: turn(this.last, 'right') },
    });
    this.last = now;
  }

  addNothing(): void {
    this.put({});
    this.last = undefined;
  }

  private put(values: Partial<Record<keyof TrainingCurves, number | null>>): void {
    for (const key of CURVES) this.curves[key].push(values[key] ?? null);
  }
}

export interface MatrixTrack {
  readonly rank: number | null;
  readonly curves: TrainingCurves;
  readonly heads?: readonly TrainingCurves[];
}

interface TrackOptions {
  readonly subspace: number;
  readonly blocks: readonly HeadBlock[] | undefined;
  readonly engine: DeviceRequest;
  readonly signal: AbortSignal | undefined;
  /** Called before each checkpoint. */
  readonly begin: (at: number) => void;
  /** Called where the matrix cannot be measured at a checkpoint. */
  readonly skip: (at: number, reason: string) => void;
}

/** Measures one matrix in each checkpoint that has it. One copy of it is in memory. */
export async function trackMatrix(
  devices: Devices,
  versions: readonly (Matrix | null)[],
  { subspace, blocks, engine, signal, begin, skip }: TrackOptions,
): Promise<MatrixTrack> {
  const { name, shape } = versions.find((each) => each !== null)!;
  const rank = turnRank(subspace, ...shape);
  const whole = new Track(rank);
  const heads = (blocks ?? []).map(({ axis, count }) => {
    const size = axis === 'rows' ? ([count, shape[1]] as const) : ([shape[0], count] as const);
    return new Track(turnRank(subspace, ...size));
  });
  for (const [at, matrix] of versions.entries()) {
    begin(at);
    const none = () => {
      for (const track of [whole, ...heads]) track.addNothing();
    };
    if (!matrix) {
      none();
      continue;
    }
    try {
      await devices.run(engine, name, { signal }, async (backend) => {
        if (!isStored(matrix)) {
          const found = await compute(backend, matrix, matrix.source(), 'exact', { signal });
          return whole.add(found.measures, undefined);
        }
        const held = await heldRows(orientedRows(matrix), signal);
        const found = await measured(backend, held, rank, signal);
        const parts = [];
        for (const block of blocks ?? []) {
          const own = blockRows(held, block);
          parts.push(await measured(backend, own, turnRank(subspace, own.rows, own.cols), signal));
        }
        whole.add(...found);
        for (const [head, part] of parts.entries()) heads[head]!.add(...part);
      });
    } catch (error) {
      if (!concernsOneMatrix(error)) throw error;
      skip(at, error.found);
      none();
    }
  }
  const isUpdate = versions.some((each) => each !== null && !isStored(each));
  return {
    rank: isUpdate ? null : rank,
    curves: whole.curves,
    ...(heads.length > 0 ? { heads: heads.map(({ curves }) => curves) } : {}),
  };
}

async function measured(
  backend: Backend,
  source: RowSource,
  rank: number,
  signal: AbortSignal | undefined,
): Promise<Parameters<Track['add']>> {
  const { singularValues } = await exactSpectrum(backend, source, { signal });
  const { left, right } = await truncatedSvd(backend, source, rank, { signal });
  return [measures(singularValues, [source.rows, source.cols], 0), { left, right }];
}
