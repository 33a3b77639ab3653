import { RankscopeError, throwIfCancelled } from '../../base/errors.ts';
import type { Skipped } from '../../model/findings.ts';
import { nameMatcher } from '../../model/globs.ts';
import { attentionHeads, fusesByHead, headBlocks } from '../../model/heads.ts';
import { isStored, type Matrix } from '../../model/matrix.ts';
import { placeOf } from '../../model/place.ts';
import {
  MOST_CHECKPOINTS,
  type TrainedMatrix,
  type TrainingReport,
  type TrainingRequest,
  type TrainingStep,
} from '../../model/training/training.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import { distinctMatrices, type OpenCheckpoints, type Opened } from '../checkpoints/opened.ts';
import type { Devices } from '../devices/devices.ts';
import { checkedSubspace } from '../diff/compareMatrix.ts';
import { refuseOptimizer } from '../diff/sides.ts';
import { findCheckpoints, spreadOver } from './findCheckpoints.ts';
import { trackMatrix } from './measure.ts';

/** A checkpoint that is open, with its matrices by name. */
interface OpenStep {
  readonly step: TrainingStep;
  readonly opened: Opened;
  readonly matrices: ReadonlyMap<string, Matrix>;
}

/**
 * Follows every matrix of a training run over its checkpoints. A checkpoint that cannot be read, such as one that is
 * still being written, is left out with the reason. Memory: one matrix and what its spectrum needs, and the directories
 * of all checkpoints.
 * @throws RankscopeError 'wrong-use' if fewer than two checkpoints can be read, or no matrix matches
 */
export async function training(
  devices: Devices,
  checkpoints: OpenCheckpoints,
  request: TrainingRequest,
  context: CallContext<StepProgress>,
): Promise<TrainingReport> {
  const { folder, checkpoints: most = MOST_CHECKPOINTS } = request;
  if (!Number.isSafeInteger(most) || most < 2)
    throw new RankscopeError('wrong-use', 'checkpoints', String(most), 'Take a whole number from 2 on');
  const { unit, steps, skipped } = await findCheckpoints(folder);
  const chosen = spreadOver(steps, most);
  const remarks =
    chosen.length < steps.length ? [`Of ${steps.length} checkpoints, ${chosen.length} were read, evenly spread.`] : [];
  const left: Skipped[] = [...skipped];
  const openNext = async (at: number, open: readonly OpenStep[]): Promise<TrainingReport> => {
    const step = chosen[at];
    if (!step) {
      const result = await follow(devices, open, request, left, context);
      return {
        format: 'rankscope.training/1',
        folder,
        unit,
        ...result,
        skipped: left,
        remarks: [...remarks, ...result.remarks],
      };
    }
    let isOpen = false;
    try {
      return await checkpoints.use(step.path, context.signal, (opened) => {
        refuseOptimizer(opened);
        isOpen = true;
        const matrices = new Map(distinctMatrices(opened).map((matrix) => [matrix.name, matrix]));
        return openNext(at + 1, [...open, { step, opened, matrices }]);
      });
    } catch (error) {
      if (isOpen || !(error instanceof RankscopeError) || error.code === 'cancelled') throw error;
      left.push({ name: step.name, reason: `${error.found}. ${error.remedy}` });
      return openNext(at + 1, open);
    }
  };
  return openNext(0, []);
}

async function follow(
  devices: Devices,
  open: readonly OpenStep[],
  request: TrainingRequest,
  skipped: Skipped[],
  { signal, progress }: CallContext<StepProgress>,
): Promise<Pick<TrainingReport, 'engine' | 'steps' | 'heads' | 'matrices' | 'remarks'>> {
  const subspace = checkedSubspace(request.subspace);
  const refuse = (found: string, remedy: string) => new RankscopeError('wrong-use', request.folder, found, remedy);
  if (open.length < 2) {
    const [reason] = skipped.map((each) => `${each.name}: ${each.reason}`);
    throw refuse(`fewer than two of its checkpoints can be read (${reason ?? 'no other'})`, 'Wait for the next one');
  }
  const isChosen = request.tensors ? nameMatcher(request.tensors) : () => true;
  const names = [...new Set(open.flatMap(({ matrices }) => [...matrices.keys()]))].filter(isChosen);
  if (names.length === 0) throw refuse(`no matrix matches ${request.tensors?.join(', ') ?? '*'}`, 'Name others');
  const [{ opened: newest }] = open.slice(-1) as [OpenStep];
  const heads = attentionHeads(newest.checkpoint.configuration, newest.checkpoint.metadata);
  const engine = devices.settle(request);
  const total = names.length * open.length;
  const matrices: TrainedMatrix[] = [];
  const info = await devices.hold(engine, signal, async (device) => {
    for (const [index, name] of names.entries()) {
      throwIfCancelled(signal, name);
      const versions = versionsOf(name, open, skipped);
      const known = versions.find((each) => each !== null)!;
      const { shape, role, expert } = known;
      const track = await trackMatrix(devices, versions, {
        ...{ subspace, engine, signal },
        blocks: isStored(known)
          ? headBlocks(role, shape, heads, fusesByHead(newest.checkpoint.configuration))
          : undefined,
        begin: (at) =>
          progress?.({ done: index * open.length + at, total, message: `${name}, ${open[at]!.step.name}` }),
        skip: (at, reason) => skipped.push({ name, reason: `${open[at]!.step.name}: ${reason}` }),
      });
      matrices.push({ name, ...placeOf(known), role, ...(expert === null ? {} : { expert }), shape, ...track });
    }
    return device;
  });
  return { engine: info, steps: open.map(({ step }) => step), heads, matrices, remarks: remarksOf(open, matrices) };
}

/** The matrix in each checkpoint; null where it is missing or has another shape than before. */
function versionsOf(name: string, open: readonly OpenStep[], skipped: Skipped[]): (Matrix | null)[] {
  let shape: readonly [number, number] | undefined;
  return open.map(({ matrices, step }) => {
    const matrix = matrices.get(name);
    if (!matrix) return null;
    shape ??= matrix.shape;
    if (String(shape) === String(matrix.shape)) return matrix;
    skipped.push({ name, reason: `${step.name}: it is ${matrix.shape.join(' x ')}, and ${shape.join(' x ')} before` });
    return null;
  });
}

function remarksOf(open: readonly OpenStep[], matrices: readonly TrainedMatrix[]): string[] {
  const remarks: string[] = [];
  const partly = matrices.filter(({ name }) => open.some((each) => !each.matrices.has(name))).length;
  if (partly > 0) remarks.push(`${partly} of ${matrices.length} matrices are not in every checkpoint.`);
  if (matrices.some(({ rank }) => rank === null))
    remarks.push(
      'The checkpoints hold adapters: ranks and norms are those of their updates, whose turn is not measured.',
    );
  return remarks;
}
