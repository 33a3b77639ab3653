import { RankscopeError } from '../../../base/errors.ts';
import { formatCount } from '../../../base/quantities.ts';
import { extractedRanks } from '../../../model/lora/extractedRanks.ts';
import type { ExtractedMatrix, Extraction, ExtractRequest, OtherDifference } from '../../../model/lora/extraction.ts';
import type { CallContext, StepProgress } from '../../../protocol/service.ts';
import { truncatedSvd } from '../../../spectrum/truncated.ts';
import type { WrittenFactors } from '../../../write/residual.ts';
import { type OpenCheckpoints, type Opened, refuseChanged } from '../../checkpoints/opened.ts';
import type { Devices } from '../../devices/devices.ts';
import { sideOf } from '../../diff/sides.ts';
import { deviceResidual } from '../../plan/deviceResidual.ts';
import { checkFolder } from '../writeAdapter.ts';
import { kindOf } from './adaptable.ts';
import { balancedTriplets, type LazyLayer } from './factors.ts';
import { modelPairs } from './modelPairs.ts';
import { baseConfiguration, writePeftFolder } from './peftFolder.ts';
import { type SavedModules, savedModules } from './savedModules.ts';
import { type Changed, type Survey, survey } from './survey.ts';
import { tiedHead } from './tiedHead.ts';

/**
 * Makes an adapter of what a tuned model has changed: truncated singular value decompositions of W1 - W0, one matrix
 * at a time. Without a folder to write, it tells what the adapter would be.
 * @throws RankscopeError 'wrong-use' for models that are no two states of one, or equal ones; 'not-finite'
 */
export async function extract(
  devices: Devices,
  checkpoints: OpenCheckpoints,
  request: ExtractRequest,
  context: CallContext<StepProgress>,
): Promise<Extraction> {
  checkRequest(request);
  return checkpoints.useAll([request.base, request.tuned], context.signal, async ([one, two]) => {
    await one!.tiesByContent(context.signal);
    await two!.tiesByContent(context.signal);
    const engine = devices.settle(request);
    return devices.hold(engine, context.signal, () => new Run(devices, one!, two!, request, context).run());
  });
}

class Run {
  private readonly measured = new Map<Changed, number>();
  private readonly predicted = new Map<Changed, number>();

  constructor(
    private readonly devices: Devices,
    private readonly base: Opened,
    private readonly tuned: Opened,
    private readonly request: ExtractRequest,
    private readonly context: CallContext<StepProgress>,
  ) {}

  async run(): Promise<Extraction> {
    const { base, tuned, devices, request, context } = this;
    const { out, overwrite = false, target, mostRank = Number.POSITIVE_INFINITY } = request;
    if (out !== undefined) await checkFolder(out, overwrite, this.sources());
    const [one, two] = [sideOf(base), sideOf(tuned)];
    const { pairs, added } = modelPairs(one, two);
    const found = await survey(devices, pairs, one, request, context);
    const spread = request.spread ?? (target?.by === 'parameters' ? 'all' : 'each');
    const ranks = extractedRanks(found.changed, target, spread).map((rank) => Math.min(rank, mostRank));
    const saved = savedModules(found.left, found.changed, two, (module) => tiedHead(base, module));
    const bytes = out === undefined ? null : await this.write(out, found.changed, ranks, saved);
    for (const { checkpoint } of [base, tuned]) await refuseChanged(checkpoint);
    return this.report(
      found,
      ranks,
      saved,
      bytes,
      added.map(({ name }) => name),
    );
  }

  private sources(): string[] {
    return [this.base, this.tuned].flatMap(({ checkpoint }) => checkpoint.files.map(({ path }) => path));
  }

  private write(
    out: string,
    changed: readonly Changed[],
    ranks: readonly number[],
    { modules, biases, tensors }: SavedModules,
  ): Promise<number> {
    const { overwrite = false, modulesToSave = false } = this.request;
    const { signal, progress } = this.context;
    return writePeftFolder({
      ...{ out, overwrite, signal, sources: this.sources() },
      layers: changed.map((each, index) => this.layer(each, ranks[index]!)),
      whole: modulesToSave ? tensors : [],
      configuration: {
        ...baseConfiguration(this.base.checkpoint),
        ...(changed.some(({ pair }) => pair.base.matrix!.transposed) ? { fan_in_fan_out: true } : {}),
        ...(modulesToSave && modules.length > 0 ? { modules_to_save: modules } : {}),
        ...(modulesToSave && biases ? { bias: 'all' } : {}),
      },
      progress: (done, name) => progress?.({ done, total: 2 * changed.length, message: name }),
    });
  }

  private layer(changed: Changed, rank: number): LazyLayer {
    const { rows, target, form, energy, shape } = changed;
    const { signal } = this.context;
    const engine = this.devices.settle(this.request);
    return {
      ...{ target, form, shape, rank, dtype: this.request.dtype ?? 'F32' },
      load: () =>
        this.devices.run(engine, rows.name, { signal }, async (backend) => {
          const triplets = await truncatedSvd(backend, rows, rank, { signal });
          this.predicted.set(changed, restOf(triplets.values, energy));
          return balancedTriplets(triplets);
        }),
      written: async (factors: WrittenFactors) => {
        const error = await this.devices.run(engine, rows.name, { signal }, (backend) =>
          deviceResidual(backend, rows, { transposed: false }, factors, signal),
        );
        this.measured.set(changed, error);
      },
    };
  }

  private report(
    { changed, left, unchanged }: Survey,
    ranks: readonly number[],
    saved: SavedModules,
    bytes: number | null,
    added: readonly string[],
  ): Extraction {
    const { base, tuned, out = null, modulesToSave = false } = this.request;
    const total = [...changed, ...left].reduce((sum, { energy }) => sum + energy, 0);
    const share = (energy: number) => (total > 0 ? energy / total : 0);
    const matrices = changed.map((each, index): ExtractedMatrix => {
      const { shape, energy, baseEnergy, values, aboveRounding } = each;
      const [m, n] = shape;
      return {
        name: each.rows.name,
        shape,
        rank: ranks[index]!,
        norm: Math.sqrt(energy),
        change: baseEnergy > 0 ? Math.sqrt(energy / baseEnergy) : null,
        share: share(energy),
        predictedError: predictedOf(values, ranks[index]!, energy) ?? this.predicted.get(each) ?? 0,
        measuredError: this.measured.get(each) ?? null,
        aboveRounding,
        ...(this.request.values === true ? { values: Array.from(values) } : {}),
        breakEven: Math.floor((m * n) / (m + n)),
      };
    });
    const others = left.map(({ pair, energy, baseEnergy, reason }): OtherDifference => {
      const place = saved.places.get(pair.base.name)!;
      const module = 'module' in place ? place.module : null;
      return {
        name: pair.base.name,
        kind: kindOf(pair.base),
        share: share(energy),
        change: baseEnergy > 0 ? Math.sqrt(energy / baseEnergy) : null,
        ...(pair.newRows !== 0 ? { newRows: pair.newRows } : {}),
        module,
        ...(module === null ? { reason } : {}),
      };
    });
    const lost = others.filter(({ module }) => !modulesToSave || module === null);
    const error = (of: (matrix: ExtractedMatrix) => number) =>
      Math.sqrt(
        matrices.reduce((sum, matrix) => sum + of(matrix) ** 2 * matrix.share, 0) +
          lost.reduce((sum, other) => sum + other.share, 0),
      );
    const result = {
      format: 'rankscope.extraction/1',
      ...{ base, tuned, out, matrices, others, unchanged },
      modulesToSave: modulesToSave ? saved.modules : [],
      totals: {
        parameters: matrices.reduce((sum, { rank, shape: [m, n] }) => sum + rank * (m + n), 0),
        bytes,
        norm: Math.sqrt(total),
        predictedError: error(({ predictedError }) => predictedError),
        measuredError: bytes === null ? null : error(({ measuredError }) => measuredError ?? 0),
      },
    } as const;
    return { ...result, remarks: remarksOf(result, lost, added, this.request) };
  }
}

function predictedOf(values: Float64Array, rank: number, energy: number): number | undefined {
  return values.length === 0 ? undefined : restOf(values.subarray(0, rank), energy, values.subarray(rank));
}

/** What leading values leave of a norm. The values behind them count where the difference of sums is all rounding. */
function restOf(values: Float64Array, energy: number, behind: Float64Array = new Float64Array(0)): number {
  if (energy === 0) return 0;
  const squares = (of: Float64Array) => of.reduce((sum, value) => sum + value * value, 0);
  const tail = squares(behind);
  const left = energy - squares(values);
  return Math.sqrt((left > 1e-6 * energy ? Math.max(left, tail) : tail) / energy);
}

function remarksOf(
  { matrices, others }: Pick<Extraction, 'matrices' | 'others'>,
  lost: readonly OtherDifference[],
  added: readonly string[],
  { target, tuned }: ExtractRequest,
): string[] {
  const percent = (share: number) => `${(100 * share).toPrecision(2)} %`;
  const remarks: string[] = [];
  const share = lost.reduce((sum, other) => sum + other.share, 0);
  if (lost.length > 0) {
    const savable = lost.filter(({ module }) => module !== null).length;
    remarks.push(
      `${lost.length} tensors that LoRA does not hold differ too, with ${percent(share)} of the squared difference${savable > 0 ? `: ${savable} of them can be written whole, with --modules-to-save` : ''}.`,
    );
  }
  const resized = others.find(({ newRows }) => newRows !== undefined)?.newRows;
  if (resized !== undefined)
    remarks.push(
      `The vocabulary of ${tuned} has ${Math.abs(resized)} ${resized > 0 ? 'more' : 'fewer'} rows: resize the embeddings of the base before the adapter is loaded, and write them whole with --modules-to-save.`,
    );
  if (added.length > 0)
    remarks.push(`${added.length} tensors are only in ${tuned}, such as ${added[0]}: no adapter adds them.`);
  const large = matrices.filter(({ rank, breakEven }) => rank > breakEven).length;
  if (large > 0)
    remarks.push(`${large} matrices have ranks above the break-even: their factors are larger than they are.`);
  const short = target?.by === 'rank' ? matrices.filter(({ rank }) => rank < target.value) : [];
  if (short.length > 0)
    remarks.push(`${short.length} matrices have no rank of ${target!.value}: all of theirs is taken.`);
  const noise = matrices.filter(
    ({ rank, aboveRounding }) => aboveRounding !== null && rank > Math.max(1, aboveRounding),
  );
  if (noise.length > 0) {
    const most = Math.max(...noise.map(({ aboveRounding }) => aboveRounding!));
    remarks.push(
      `In ${noise.length} matrices the rank holds rounding of the weights: above it are at most ${formatCount(most)} values.`,
    );
  }
  return remarks;
}

function checkRequest({ target, spread, mostRank }: ExtractRequest): void {
  const wrong = (found: string, remedy: string) => new RankscopeError('wrong-use', 'extraction', found, remedy);
  if (mostRank !== undefined && !(Number.isSafeInteger(mostRank) && mostRank >= 1))
    throw wrong(`a largest rank of ${mostRank}`, 'Take a whole number from 1 on');
  if (!target) {
    if (spread === 'all')
      throw wrong('a spread over all without a target', 'Name a rank, an energy, an error or a size');
    return;
  }
  const { by, value } = target;
  const isCount = by === 'rank' || by === 'parameters';
  if (isCount && !(Number.isSafeInteger(value) && value >= 1))
    throw wrong(`${by} ${value}`, 'Take a whole number from 1 on');
  if (!isCount && !(value > 0 && value <= 1)) throw wrong(`${by} ${value}`, 'Take a number above 0, at most 1');
  if (by === 'parameters' && spread === 'each')
    throw wrong('a number of parameters for each matrix', 'Spread it over all');
}
