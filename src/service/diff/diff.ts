import { concernsOneMatrix, RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import { countParameters } from '../../checkpoint/ties.ts';
import type { Backend, RowSource } from '../../devices/backend.ts';
import type {
  DiffedCheckpoint,
  DiffedMatrix,
  DiffedVector,
  DiffRequest,
  ModelDiff,
  ReshapedTensor,
} from '../../model/diff/diff.ts';
import { matchTensors } from '../../model/diff/matchTensors.ts';
import { type RoleMatch, splitFused } from '../../model/diff/splitFused.ts';
import type { Skipped } from '../../model/findings.ts';
import { nameMatcher } from '../../model/globs.ts';
import { headBlocks } from '../../model/heads.ts';
import { familyOfMetadata } from '../../model/names/familyNames.ts';
import { placeOf } from '../../model/place.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { type PairSums, pairSums } from '../../spectrum/pairSums.ts';
import { type OpenCheckpoints, type Opened, refuseChanged } from '../checkpoints/opened.ts';
import type { Devices } from '../devices/devices.ts';
import { checkedSubspace, compareHeads, compareSpectra, equalSpectra, ratio, turnRank } from './compareMatrix.ts';
import { diffRemarks } from './diffRemarks.ts';
import { selectionOf } from './metaRows.ts';
import { orientedRows, vectorRows } from './rows.ts';
import { type Item, type Side, sideOf } from './sides.ts';

/**
 * Compares two models tensor by tensor. Memory: two matrices and what their spectra need.
 * @throws RankscopeError 'wrong-use' if one is no model, or if they share no matrix
 */
export function diff(
  devices: Devices,
  checkpoints: OpenCheckpoints,
  request: DiffRequest,
  context: CallContext<StepProgress>,
): Promise<ModelDiff> {
  const { base, other } = request;
  return checkpoints.useAll([base, other], context.signal, async ([one, two]) => {
    const run = new DiffRun(devices, sideOf(one!), sideOf(two!), request, context);
    const result = await run.run();
    for (const { checkpoint } of [one!, two!]) await refuseChanged(checkpoint);
    return result;
  });
}

class DiffRun {
  private readonly matrices: DiffedMatrix[] = [];
  private readonly vectors: DiffedVector[] = [];
  private readonly reshaped: ReshapedTensor[] = [];
  private readonly skipped: Skipped[];
  private readonly sums = { base: 0, difference: 0 };
  private readonly subspace: number;

  constructor(
    private readonly devices: Devices,
    private readonly base: Side,
    private readonly other: Side,
    private readonly request: DiffRequest,
    private readonly context: CallContext<StepProgress>,
  ) {
    this.subspace = checkedSubspace(request.subspace);
    this.skipped = [...base.skipped, ...other.skipped];
  }

  async run(): Promise<ModelDiff> {
    const { base, other, request } = this;
    const { signal, progress } = this.context;
    const found = matchTensors(base.items, other.items);
    const isMatrix = ({ base: { matrix } }: RoleMatch<Item>) => matrix !== null;
    if (!found.matches.some(isMatrix)) throw this.nothingShared();
    const chosen = request.tensors ? nameMatcher(request.tensors) : () => true;
    const heads = base.heads ?? other.heads;
    const all = found.matches.flatMap((match) => splitFused(match, heads));
    const matches = all.filter(({ base: { name, tensor } }) => chosen(name) || chosen(tensor.name));
    if (matches.length === 0) {
      const globs = request.tensors!.join(', ');
      throw new RankscopeError('wrong-use', request.base, `no tensor of both models matches ${globs}`);
    }
    const engine = this.devices.settle(request);
    const info = await this.devices.hold(engine, signal, async (device) => {
      for (const [done, match] of matches.entries()) {
        throwIfCancelled(signal, match.base.name);
        progress?.({ done, total: matches.length, message: match.base.name });
        await this.compare(match);
      }
      return device;
    });
    const compared = [...this.matrices, ...this.vectors];
    if (compared.length === 0 && this.reshaped.length > 0) throw this.nothingFits();
    const count = (state: DiffedVector['state']) => compared.filter((each) => each.state === state).length;
    const result = {
      format: 'rankscope.diff/1',
      base: describe(base),
      other: describe(other),
      engine: info,
      totals: {
        identical: count('identical'),
        equal: count('equal'),
        changed: count('changed'),
        change: ratio(this.sums.difference, this.sums.base),
      },
      heads,
      matrices: this.matrices,
      vectors: this.vectors,
      missing: found.missing.filter(({ name }) => !base.repeated.has(name) && chosen(name)).map(unmatched),
      added: found.added.filter(({ name }) => !other.repeated.has(name) && chosen(name)).map(unmatched),
      reshaped: this.reshaped,
      skipped: this.skipped,
    } as const;
    return { ...result, remarks: [...diffRemarks(result), ...base.remarks, ...other.remarks] };
  }

  private async compare(match: RoleMatch<Item>): Promise<void> {
    const { base, other } = match;
    try {
      if (base.matrix && other.matrix) await this.compareMatrices(match);
      else await this.compareVectors(match);
    } catch (error) {
      if (!concernsOneMatrix(error)) throw error;
      const reason = error.subject === base.name ? error.found : `${error.subject}: ${error.found}`;
      this.skipped.push({ name: base.name, reason });
    }
  }

  private async compareMatrices(match: RoleMatch<Item>): Promise<void> {
    const { base, other, baseRows, otherRows } = match;
    const [one, two] = [base.matrix!, other.matrix!];
    const { signal } = this.context;
    const sources = [
      orientedRows(one, selectionOf(this.base, this.other, base, baseRows)),
      orientedRows(two, selectionOf(this.base, this.other, other, otherRows)),
    ] as const;
    const grown = sources[0].rows !== sources[1].rows;
    if (sources[0].cols !== sources[1].cols || (grown && one.role !== 'embedding' && one.role !== 'head')) {
      this.reshaped.push(reshapedOf(match));
      return;
    }
    // Of a vocabulary that grew, the tokens of both are compared.
    const rows = Math.min(sources[0].rows, sources[1].rows);
    const [a, b] = sources.map((source): RowSource => ({ ...source, rows })) as [RowSource, RowSource];
    const sums = await pairSums(a, b, signal, this.labels());
    this.count(sums);
    const engine = this.devices.settle(this.request);
    const rank = turnRank(this.subspace, rows, a.cols);
    const whole = this.request.spectra === true;
    const run = <Result>(job: (backend: Backend) => Promise<Result>) =>
      this.devices.run(engine, one.name, { signal }, job);
    const changed =
      sums.difference > 0 ? await run((backend) => compareSpectra(backend, a, b, { rank, whole, signal })) : undefined;
    const equal = whole && !changed ? await run((backend) => equalSpectra(backend, a, signal)) : undefined;
    const spectra = changed?.spectra ?? equal;
    const role = roleOf(match);
    const byHead = this.base.fusesByHead || this.other.fusesByHead;
    const blocks = whole ? undefined : headBlocks(role, [rows, a.cols], this.base.heads ?? this.other.heads, byHead);
    const heads = blocks && (await compareHeads(this.devices, engine, a, b, blocks, signal));
    const part = roleItem(match);
    this.matrices.push({
      ...this.common(match, sums),
      ...placeOf(part.matrix!),
      role,
      ...(part.matrix!.expert === null ? {} : { expert: part.matrix!.expert }),
      ...(baseRows ? { rows: baseRows } : {}),
      ...(otherRows ? { otherRows } : {}),
      cosine: sums.base > 0 && sums.other > 0 ? sums.product / Math.sqrt(sums.base * sums.other) : null,
      difference: changed?.difference ?? null,
      valueChange: changed?.valueChange ?? null,
      turn: changed?.turn ?? null,
      ...(heads ? { heads } : {}),
      ...(spectra ? { spectra } : {}),
      ...(grown ? { remark: `Only the first ${rows} rows, which both have, are compared.` } : {}),
    });
  }

  private async compareVectors(match: RoleMatch<Item>): Promise<void> {
    const { base, other } = match;
    const size = elementCount(base.shape);
    if (size !== elementCount(other.shape) || base.matrix || other.matrix) {
      this.reshaped.push(reshapedOf(match));
      return;
    }
    const [one, two] = [vectorRows(base.tensor), vectorRows(other.tensor)];
    const sums = await pairSums(one, two, this.context.signal, this.labels());
    this.count(sums);
    this.vectors.push(this.common(match, sums));
  }

  private common({ base, other, by }: RoleMatch<Item>, sums: PairSums): DiffedVector {
    const { dtype } = base.tensor;
    const sameType = dtype === other.tensor.dtype;
    return {
      name: base.name,
      ...(base.name === other.name ? {} : { otherName: other.name }),
      matchedBy: by,
      shape: base.shape,
      ...(base.shape.join() === other.shape.join() ? {} : { otherShape: other.shape }),
      dtype,
      ...(sameType ? {} : { otherDtype: other.tensor.dtype }),
      state: sums.difference > 0 ? 'changed' : sums.identical && sameType ? 'identical' : 'equal',
      differenceNorm: Math.sqrt(sums.difference),
      change: ratio(sums.difference, sums.base),
      largestDifference: sums.largest,
    };
  }

  private labels(): readonly [string, string] {
    return [this.request.base, this.request.other];
  }

  private count({ base, difference }: PairSums): void {
    this.sums.base += base;
    this.sums.difference += difference;
  }

  private nothingFits(): RankscopeError {
    const { length } = this.reshaped;
    const [first] = [...this.reshaped].sort((a, b) => b.shape.length - a.shape.length);
    const sizes = `${first!.name} is ${first!.shape.join(' x ')} and ${first!.otherShape.join(' x ')} there`;
    const found = `none of the ${length} tensors that ${this.request.other} has as well has the same shape: ${sizes}`;
    return new RankscopeError('wrong-use', this.request.base, found, 'Compare two states of one model');
  }

  private nothingShared(): RankscopeError {
    const text = (side: Side) => {
      const { family, layers } = describe(side);
      const { length } = side.items.filter(({ matrix }) => matrix);
      return `${family ?? 'an unknown architecture'} with ${layers} layers and ${length} matrices`;
    };
    const found = `none of its matrices is in ${this.request.other}: ${text(this.base)} against ${text(this.other)}`;
    return new RankscopeError('wrong-use', this.request.base, found, 'Compare two states of one model');
  }
}

/** The item that says what is compared: of a fused matrix and a part of it, the part. */
function roleItem({ base, other, baseRows }: RoleMatch<Item>): Item {
  return baseRows ? other : base;
}

function roleOf(match: RoleMatch<Item>) {
  return match.role ?? roleItem(match).matrix!.role;
}

const unmatched = ({ name, shape }: Item) => ({ name, shape });

function reshapedOf({ base, other }: RoleMatch<Item>): ReshapedTensor {
  return { name: base.name, shape: base.shape, otherName: other.name, otherShape: other.shape };
}

function describe({ opened }: { readonly opened: Opened }): DiffedCheckpoint {
  const { checkpoint, anatomy } = opened;
  const { path, format, bytes, tensors, metadata } = checkpoint;
  return {
    path,
    format,
    parameters: countParameters(tensors, opened.ties()),
    bytes,
    family: familyOfMetadata(metadata) ?? anatomy.family,
    layers: anatomy.layers,
    tensors: tensors.length,
  };
}
