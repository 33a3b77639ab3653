import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RankscopeError } from '../../../base/errors.ts';
import type { Backend } from '../../../devices/backend.ts';
import { attempt } from '../../../files/wholeFile.ts';
import { nameMatcher } from '../../../model/globs.ts';
import type { Initialization, InitializedMatrix, InitRequest } from '../../../model/lora/initialization.ts';
import { isStored } from '../../../model/matrix.ts';
import type { StoredMatrix } from '../../../model/storedMatrix.ts';
import type { CallContext, StepProgress } from '../../../protocol/service.ts';
import { truncatedSvd } from '../../../spectrum/truncated.ts';
import { truncateOnSeen } from '../../../spectrum/truncateOnSeen.ts';
import { FACTOR_BYTES } from '../../../write/encode.ts';
import type { WrittenFactors } from '../../../write/residual.ts';
import { shrinkageOf } from '../../activations/seen.ts';
import { type Activations, withActivations } from '../../activations/withActivations.ts';
import { type OpenCheckpoints, type Opened, refuseChanged } from '../../checkpoints/opened.ts';
import type { Devices } from '../../devices/devices.ts';
import { sideOf } from '../../diff/sides.ts';
import { adaptationOf } from '../extract/adaptable.ts';
import { balancedTriplets, type LazyLayer } from '../extract/factors.ts';
import { baseConfiguration, writePeftFolder } from '../extract/peftFolder.ts';
import { checkResidual, writeResidual } from './residual.ts';

/** Up to this size, all triplets are computed, as PEFT does; above, the cheaper way decides. */
const ALWAYS_EXACT = 1024;

/**
 * Splits W into an adapter and a base without it. The adapter has the principal components of W (PiSSA, arXiv
 * 2404.02948) or, with statistics of the inputs, of W X: W' = U_k U_k^T W (in the manner of CorDA, arXiv 2406.05223).
 * @throws RankscopeError 'wrong-use' for a checkpoint without a layer to adapt, 'unsupported' for quantized weights
 */
export function initialize(
  devices: Devices,
  checkpoints: OpenCheckpoints,
  request: InitRequest,
  context: CallContext<StepProgress>,
): Promise<Initialization> {
  const { path, out, overwrite = false, activations: file } = request;
  const { signal } = context;
  return checkpoints.use(path, signal, async (opened) => {
    await opened.tiesByContent(signal);
    const layers = layersOf(opened, request);
    const [adapter, base] = [join(out, 'adapter'), join(out, 'base')];
    await attempt(out, () => mkdir(out, { recursive: true }));
    await checkResidual(opened, base, overwrite);
    // Without its base, an adapter is what is left of a run that was stopped.
    const isLeft = !(await stat(base).catch(() => undefined));
    return withActivations(opened, file, signal, (activations) =>
      devices.hold(devices.settle(request), signal, async () => {
        const found = new Map<LayerOf, InitializedMatrix>();
        const bytes = await writePeftFolder({
          ...{ out: adapter, overwrite: overwrite || isLeft, signal, scale: scaleOf(request) },
          sources: opened.checkpoint.files.map((each) => each.path),
          layers: layers.map((layer) => lazy(devices, layer, request, { activations, found, signal })),
          whole: [],
          configuration: {
            ...baseConfiguration(opened.checkpoint),
            base_model_name_or_path: base,
            ...(layers.some(({ matrix }) => matrix.transposed) ? { fan_in_fan_out: true } : {}),
            // With 'pissa', PEFT would take the components out of the base again when it loads the adapter.
            init_lora_weights: true,
          },
          progress: (done, message) => context.progress?.({ done, total: 2 * layers.length, message }),
        });
        await checkpoints.use(adapter, signal, (written) =>
          writeResidual(opened, written, { out: base, overwrite, adapterPath: adapter }, context),
        );
        await refuseChanged(opened.checkpoint);
        const matrices = layers.map((layer) => found.get(layer)!);
        return {
          format: 'rankscope.initialization/1',
          ...{ path, adapter, base, matrices, bytes },
          parameters: matrices.reduce((sum, { rank, shape: [m, n] }) => sum + rank * (m + n), 0),
          remarks: remarksOf(matrices, request),
        };
      }),
    );
  });
}

interface LayerOf {
  readonly target: string;
  readonly matrix: StoredMatrix;
}

function layersOf(opened: Opened, { path, tensors, rank, alpha }: InitRequest): LayerOf[] {
  const wrong = (found: string, remedy: string) => new RankscopeError('wrong-use', path, found, remedy);
  if (!(Number.isSafeInteger(rank) && rank >= 1)) throw wrong(`rank ${rank}`, 'Take a whole number from 1 on');
  if (alpha !== undefined && !(alpha > 0 && Number.isFinite(alpha)))
    throw wrong(`alpha ${alpha}`, 'Take a number above 0');
  if (opened.checkpoint.format === 'gguf')
    throw new RankscopeError(
      'unsupported',
      path,
      'it is a GGUF file, which PEFT does not read',
      'Give the model that it was converted from',
    );
  const side = sideOf(opened);
  const chosen = tensors && nameMatcher(tensors);
  const layers = side.items.flatMap((item): LayerOf[] => {
    const { matrix } = item;
    const isHead = matrix?.role === 'head' || matrix?.role === 'embedding';
    const adaptation = adaptationOf(item, side, isHead && !chosen ? false : chosen?.(item.name));
    if ('reason' in adaptation || adaptation.form.kind !== 'linear' || !isStored(matrix!)) return [];
    return [{ target: adaptation.target, matrix }];
  });
  if (layers.length === 0)
    throw wrong('it has no linear layer to adapt', tensors ? 'Choose other names with --targets' : 'Give a model');
  const packed = layers.find(({ matrix }) => !Object.hasOwn(FACTOR_BYTES, matrix.dtype));
  if (packed)
    throw new RankscopeError(
      'unsupported',
      path,
      `${packed.matrix.name} is stored as ${packed.matrix.dtype}`,
      'Give the model in 16 or 32 bits: what is left of W is written in its type',
    );
  return layers;
}

const rankOf = ({ shape }: StoredMatrix, { rank }: InitRequest) => Math.min(rank, ...shape);
const scaleOf = ({ rank, alpha = rank }: InitRequest) => alpha / rank;

function lazy(
  devices: Devices,
  layer: LayerOf,
  request: InitRequest,
  {
    activations,
    found,
    signal,
  }: {
    readonly activations: Activations | undefined;
    readonly found: Map<LayerOf, InitializedMatrix>;
    readonly signal: AbortSignal | undefined;
  },
): LazyLayer {
  const { target, matrix } = layer;
  const { name, shape, transposed } = matrix;
  const rank = rankOf(matrix, request);
  const scale = scaleOf(request);
  const factor = activations?.factors.get(name);
  const seen = factor && factor.tokens !== 0 ? factor : undefined;
  const find = async (backend: Backend): Promise<WrittenFactors> => {
    const report = (energy: number) => found.set(layer, { name, shape, rank, energy, onInputs: seen !== undefined });
    if (seen) {
      const source = matrix.source();
      const seenBy = { ...seen, shrinkage: shrinkageOf(seen) };
      const { a, b, error } = await truncateOnSeen(backend, { source, transposed }, seenBy, rank, { signal });
      report(1 - error * error);
      const root = Math.sqrt(1 / scale);
      return { rank, a: a.map((value) => root * value), b: b.map((value) => root * value) };
    }
    const route = Math.min(...shape) <= ALWAYS_EXACT ? ({ route: 'exact' } as const) : {};
    const triplets = await truncatedSvd(backend, matrix.source(), rank, { signal, ...route });
    const { values, frobeniusNorm, left, right } = triplets;
    const kept = values.reduce((sum, value) => sum + value * value, 0);
    report(frobeniusNorm > 0 ? Math.min(1, kept / frobeniusNorm ** 2) : 1);
    return balancedTriplets(transposed ? { values, left: right, right: left } : triplets, scale);
  };
  return {
    ...{ target, shape, rank, dtype: 'F32', form: { kind: 'linear', kernel: [] } },
    load: () => devices.run(devices.settle(request), name, { signal }, find),
    written: async () => undefined,
  };
}

function remarksOf(matrices: readonly InitializedMatrix[], { rank, activations }: InitRequest): string[] {
  const remarks = [
    'The adapter belongs to the base beside it: on the original model, its components would count twice.',
  ];
  const small = matrices.filter((matrix) => matrix.rank < rank).length;
  if (small > 0) remarks.push(`${small} matrices have no rank of ${rank}: all of theirs is in the adapter.`);
  const unseen = activations === undefined ? 0 : matrices.filter(({ onInputs }) => !onInputs).length;
  if (unseen > 0) remarks.push(`${unseen} matrices have no statistics of inputs: their components are those of W.`);
  return remarks;
}
