import type { LayerForm } from '../../../adapters/writing/layers.ts';
import type { DeviceRequest } from '../../../base/deviceInfo.ts';
import { RankscopeError, throwIfCancelled } from '../../../base/errors.ts';
import type { Backend, RowSource } from '../../../devices/backend.ts';
import { nameMatcher } from '../../../model/globs.ts';
import { type KnownDifference, leastRank, mantissaBits, roundingEdge } from '../../../model/lora/extractedRanks.ts';
import type { ExtractRequest } from '../../../model/lora/extraction.ts';
import type { CallContext, StepProgress } from '../../../protocol/service.ts';
import { svdCost } from '../../../spectrum/costModel.ts';
import { exactSpectrum } from '../../../spectrum/exact.ts';
import { pairSums } from '../../../spectrum/pairSums.ts';
import { truncatedSvd } from '../../../spectrum/truncated.ts';
import type { Devices } from '../../devices/devices.ts';
import { differenceRows } from '../../diff/rows.ts';
import type { Side } from '../../diff/sides.ts';
import { adaptationOf } from './adaptable.ts';
import type { ModelPair } from './modelPairs.ts';

/** A matrix whose difference the adapter holds. */
export interface Changed extends KnownDifference {
  readonly pair: ModelPair;
  readonly target: string;
  readonly form: LayerForm;
  /** W1 - W0, in [out, in] terms. */
  readonly rows: RowSource;
  /** ||W0||_F^2. */
  readonly baseEnergy: number;
}

/** A tensor that differs and that the adapter holds at most whole. */
export interface Left {
  readonly pair: ModelPair;
  readonly energy: number;
  readonly baseEnergy: number;
  readonly reason: string;
}

export interface Survey {
  readonly changed: readonly Changed[];
  readonly left: readonly Left[];
  readonly unchanged: number;
}

/** The rank of a first, cheap attempt at values that may suffice. */
const FIRST_ATTEMPT = 64;

/**
 * Reads all pairs once for what differs, and computes the singular values that the choice of ranks needs: of a fixed
 * rank none, else the leading ones where these suffice and are cheaper, or all.
 * @throws RankscopeError 'not-finite' that names the model and the entry
 */
export async function survey(
  devices: Devices,
  pairs: readonly ModelPair[],
  base: Side,
  request: ExtractRequest,
  { signal, progress }: CallContext<StepProgress>,
): Promise<Survey> {
  const { tensors, exclude = [] } = request;
  const engine = devices.settle(request);
  const chosen = tensors && nameMatcher(tensors);
  const excluded = nameMatcher(exclude);
  const result = { changed: [] as Changed[], left: [] as Left[], unchanged: 0 };
  for (const [done, pair] of pairs.entries()) {
    const { name } = pair.base;
    throwIfCancelled(signal, name);
    progress?.({ done, total: pairs.length, message: name });
    const sums = await pairSums(...pair.sources, signal, [request.base, request.tuned]);
    if (sums.difference === 0 && pair.newRows === 0) {
      if (pair.base.matrix) result.unchanged++;
      continue;
    }
    const wanted = excluded(name) ? false : chosen?.(name);
    const resized = pair.newRows > 0 ? 'its vocabulary grew' : 'its vocabulary shrank';
    const adaptation = pair.newRows === 0 ? adaptationOf(pair.base, base, wanted) : { reason: resized };
    const common = { pair, energy: sums.difference, baseEnergy: sums.base };
    if ('reason' in adaptation) {
      result.left.push({ ...common, reason: adaptation.reason });
      continue;
    }
    const difference = differenceRows(...pair.sources);
    const rows = { ...difference, name };
    const shape = [rows.rows, rows.cols] as const;
    const values = await valuesOf(devices, engine, rows, sums.difference, request, signal);
    const bits = Math.min(...[pair.base, ...pair.tuned].map(({ tensor }) => mantissaBits(tensor.dtype)));
    const edge = Math.max(roundingEdge(Math.sqrt(sums.other), shape, bits), (values[0] ?? 0) * 2 ** -20);
    const above = values.findIndex((value) => value <= edge);
    const isWhole = values.length === Math.min(...shape);
    const aboveRounding = above >= 0 ? above : isWhole ? values.length : null;
    result.changed.push({ ...common, ...adaptation, rows, shape, values, aboveRounding });
  }
  if (result.changed.length === 0) throw nothingToExtract(result, request);
  return result;
}

function nothingToExtract({ left }: Pick<Survey, 'left'>, { base, tuned }: ExtractRequest): RankscopeError {
  const found =
    left.length === 0
      ? `it is equal to ${base}`
      : `no layer that LoRA adapts differs from ${base}; ${left.length} other tensors do, such as ${left[0]!.pair.base.name}`;
  return new RankscopeError('wrong-use', tuned, found, 'Name matrices that differ with --targets');
}

async function valuesOf(
  devices: Devices,
  engine: DeviceRequest,
  rows: RowSource,
  energy: number,
  { target, spread, mostRank, out }: ExtractRequest,
  signal: AbortSignal | undefined,
): Promise<Float64Array> {
  const least = Math.min(rows.rows, rows.cols);
  const isFixed = target?.by === 'rank' && spread !== 'all';
  if (isFixed && out !== undefined) return new Float64Array(0);
  const most = Math.min(least, isFixed ? target.value : (mostRank ?? least));
  const leading = (rank: number) => async (backend: Backend) =>
    (await truncatedSvd(backend, rows, rank, { signal })).values;
  const run = (job: (backend: Backend) => Promise<Float64Array>) => devices.run(engine, rows.name, { signal }, job);
  const cost = svdCost(rows.rows, rows.cols, Math.min(most, FIRST_ATTEMPT));
  if (most < least) return run(leading(most));
  const wantsEach = spread !== 'all' && (target?.by === 'energy' || target?.by === 'error');
  if (wantsEach && 2 * cost.sketch < cost.exact) {
    const values = await run(leading(FIRST_ATTEMPT));
    const rest = (target.by === 'energy' ? 1 - target.value : target.value ** 2) * energy;
    if (leastRank({ energy, values, shape: [rows.rows, rows.cols] }, rest) < values.length) return values;
  }
  return run(async (backend) => (await exactSpectrum(backend, rows, { signal })).singularValues);
}
