import { RankscopeError } from '../../base/errors.ts';
import type { Pause } from '../../base/eventLoop.ts';
import type { Backend } from '../../devices/backend.ts';
import {
  type CompressedBlock,
  type CompressionProgress,
  type CompressionSchedule,
  type InputErrors,
  REFINEMENT,
} from '../../model/compression.ts';
import { normTensors } from '../../network/blocks/normTensors.ts';
import { type BlockChange, type BlockVisit, walkBlocks } from '../../network/blockwise.ts';
import type { BlockNorm } from '../../network/configuration/architectures.ts';
import type { Network } from '../../network/network.ts';
import { allFinite } from '../../network/operations/allFinite.ts';
import type { Norm } from '../../network/operations/norm.ts';
import { refineBlock } from '../../network/refinement/refineBlock.ts';
import type { Refinement } from '../../network/refinement/refinement.ts';
import type { Factors } from '../../network/variant.ts';
import { type FactorType, rounded } from '../../write/encode.ts';
import { truncateBlock } from '../truncation/truncateBlock.ts';
import type { FinishedBlock } from './blockFile.ts';
import type { PartialFolder } from './partialFolder.ts';
import type { SplitWindows } from './splitWindows.ts';

/** A matrix that is cut, by the module that it belongs to. */
export interface BlockCut {
  readonly rank: number;
  /** [m, n] = [out, in]. */
  readonly shape: readonly [number, number];
  /** Of W X, relative, as the plan says. */
  readonly predictedError: number;
  /** In which its factors are written. */
  readonly type: FactorType;
}

export interface BlocksRequest {
  readonly network: Network;
  readonly backend: Backend;
  readonly windows: Pick<SplitWindows, 'calibration' | 'heldOut'>;
  /** By the names of modules. */
  readonly cuts: ReadonlyMap<string, BlockCut>;
  /** The numbers of matrices that stay dense, though they might have been cut, by the numbers of blocks. */
  readonly dense: ReadonlyMap<number, number>;
  readonly schedule: Pick<CompressionSchedule, 'steps'>;
  readonly rate: number;
  readonly folder: PartialFolder;
  readonly signal: AbortSignal | undefined;
  readonly pause: Pause | undefined;
  readonly progress: (
    value: Pick<CompressionProgress, 'done' | 'message' | 'block' | 'step' | 'resumedBlocks'>,
  ) => void;
}

/** What all blocks became. */
export interface CompressedBlocks {
  readonly blocks: readonly CompressedBlock[];
  /** By the names of modules. */
  readonly factors: ReadonlyMap<string, Factors>;
  /** ||W X - W' X'||_F / ||W X||_F as truncated, by the names of modules, of those that tokens reached. */
  readonly inputErrors: ReadonlyMap<string, number>;
  /** Trained norms, by the names of their tensors. */
  readonly changed: ReadonlyMap<string, Float32Array>;
  readonly resumed: number;
}

/**
 * Compresses the blocks one after the other on the inputs of those before: truncation, then refinement. Each finished
 * block goes into the folder, and those that are there already are taken from it. Both streams pass with factors as
 * they will be written, so that each block makes up for the roundings of those before.
 * @throws RankscopeError as `walkBlocks` does
 */
export async function compressBlocks(request: BlocksRequest): Promise<CompressedBlocks> {
  const { network, backend, windows, folder, signal, pause, progress } = request;
  const blocks: CompressedBlock[] = [];
  const factors = new Map<string, Factors>();
  const inputErrors = new Map<string, number>();
  const changed = new Map<string, Float32Array>();
  const resumed = await folder.finishedBlocks((block) => fits(request, block));
  if (resumed > 0)
    progress({ done: 0, message: `Passing ${resumed} blocks of an earlier run`, resumedBlocks: resumed });
  await walkBlocks(
    { network, backend, windows: windows.calibration, heldOut: windows.heldOut, signal, pause: pause ?? undefined },
    async (visit): Promise<BlockChange> => {
      const { layer, block } = visit;
      const known = layer < resumed ? await folder.block(layer) : undefined;
      if (!known) progress({ done: layer, message: `Block ${layer + 1}: truncating` });
      const { finished, outputs } = known ? { finished: known } : await compressed(request, visit);
      if (!known) await folder.saveBlock(finished);
      blocks.push(finished.report);
      for (const [name, own] of finished.factors) factors.set(name, own);
      for (const [name, error] of finished.inputErrors) inputErrors.set(name, error);
      const norms = normsOf(block.norms, finished);
      for (const [name, values] of normTensors(network, layer, norms)) changed.set(name, values);
      progress({
        done: layer + 1,
        message: `Block ${layer + 1}`,
        block: finished.report,
      });
      return { linears: finished.factors, norms, outputs };
    },
  );
  return { blocks, factors, inputErrors, changed, resumed };
}

const pathOf = ({ prefix, modules }: Network, layer: number) => `${prefix}${modules.layers}.${layer}.`;

/** Whether a block that was kept is what the plan asks for. */
function fits({ network, cuts }: BlocksRequest, { report, factors }: FinishedBlock): boolean {
  const own = [...cuts].filter(([name]) => name.startsWith(pathOf(network, report.layer)));
  return (
    own.length === factors.size &&
    own.every(
      ([
        name,
        {
          rank,
          shape: [m, n],
        },
      ]) => {
        const found = factors.get(name);
        return found?.b.length === m * rank && found.a.length === rank * n;
      },
    )
  );
}

/** The norms of a finished block in the form of `Block.norms`. */
function normsOf(norms: BlockVisit['block']['norms'], { norms: trained }: FinishedBlock) {
  return Object.fromEntries(
    [...trained].map(([part, { weight, bias }]) => {
      const own = norms[part as BlockNorm];
      if (!own) throw new RankscopeError('engine', part, 'is not a norm of this block');
      return [part, { ...own, weight, ...(bias && { bias }) }];
    }),
  ) as Partial<Record<BlockNorm, Norm>>;
}

/** A block that is compressed, with what it gives, where that is known. */
interface Compressed {
  readonly finished: FinishedBlock;
  readonly outputs?: BlockChange['outputs'];
}

async function compressed(request: BlocksRequest, visit: BlockVisit): Promise<Compressed> {
  const { network, backend, schedule, cuts, rate, signal, pause } = request;
  const { layer, block, calibration, heldOut } = visit;
  const started = performance.now();
  const path = pathOf(network, layer);
  const own = [...cuts].filter(([name]) => name.startsWith(path));
  const dense = request.dense.get(layer) ?? 0;
  const seconds = () => (performance.now() - started) / 1000;
  const unrefined = { losses: [], before: null, after: null, refined: false };
  const inputErrors = new Map<string, number>();
  const report = { layer, cut: own.length, dense };
  const errors = () => ({ inputErrors: errorsOf(own, inputErrors) });
  const rest = (reason: string | null, factors: ReadonlyMap<string, Factors>): FinishedBlock => ({
    report: { ...report, ...unrefined, reason, ...(own.length > 0 ? errors() : {}), seconds: seconds() },
    inputErrors,
    factors,
    norms: new Map(),
  });
  if (own.length === 0) return { finished: rest('no matrix of this block is cut', new Map()) };
  const written = (name: string, { b, a }: Factors): Factors => {
    const { type } = cuts.get(name)!;
    return { b: rounded(b, type), a: rounded(a, type) };
  };
  const ranks = new Map(own.map(([name, { rank }]) => [name, rank]));
  const { linears: truncated = new Map<string, Factors>(), outputs } = await truncateBlock(visit, ranks, {
    written,
    measured: (name, { error }) => void (error !== undefined && inputErrors.set(name, error)),
  });
  if (schedule.steps === 0) return { finished: rest(null, truncated), outputs };
  const lengths = (rows: BlockVisit['calibration']) => rows.passages.map((passage) => passage.lengths);
  const refinedAt = async (height: number): Promise<Refinement> =>
    await refineBlock({
      network,
      backend,
      layer,
      block,
      factors: truncated,
      inputs: calibration.compressed,
      targets: await calibration.targets(),
      lengths: lengths(calibration),
      heldOut: { inputs: heldOut.compressed, targets: await heldOut.targets(), lengths: lengths(heldOut) },
      steps: schedule.steps,
      rate: height,
      signal,
      pause,
      progress: ({ step, steps, loss }) =>
        request.progress({
          done: layer + step / steps,
          message: `Block ${layer + 1}: step ${step} of ${steps}`,
          step: { layer, step, loss },
        }),
    });
  let refinement: Refinement;
  try {
    refinement = await refinedAt(rate);
    // A rate that suits most blocks is too much for some: early ones, whose relative error is small.
    if (!refinement.kept && Number.isFinite(refinement.before))
      refinement = await refinedAt(rate * REFINEMENT.secondRate);
  } catch (error) {
    // A block that cannot be refined is still truncated: too large for the device, or an operation without derivative.
    if (!(error instanceof RankscopeError) || !['unsupported', 'too-large', 'not-finite'].includes(error.code))
      throw error;
    return { finished: rest(error.message, truncated), outputs };
  }
  const { losses, before, after, kept, reason, norms } = refinement;
  if (!allFactorsFinite(refinement))
    return { finished: rest('its factors became NaN or infinite', truncated), outputs };
  const finished = {
    report: {
      ...report,
      losses: losses.map(({ loss }) => loss),
      before,
      after,
      refined: kept,
      reason: kept ? null : (reason ?? 'nothing was gained on the held-out windows'),
      ...errors(),
      seconds: seconds(),
    },
    inputErrors,
    factors: new Map([...refinement.factors].map(([name, factors]) => [name, written(name, factors)])),
    norms: new Map(kept ? Object.entries(norms) : []),
  };
  return { finished };
}

/** @param measured by the names of modules */
function errorsOf(cuts: readonly (readonly [string, BlockCut])[], measured: ReadonlyMap<string, number>): InputErrors {
  const mean = (errors: readonly { readonly error: number; readonly shape: readonly [number, number] }[]) => {
    const whole = errors.reduce((sum, { shape: [m, n] }) => sum + m * n, 0);
    return Math.sqrt(errors.reduce((sum, { error, shape: [m, n] }) => sum + m * n * error ** 2, 0) / whole);
  };
  const reached = cuts.flatMap(([name, { shape }]) =>
    measured.has(name) ? [{ error: measured.get(name)!, shape }] : [],
  );
  return {
    predicted: mean(cuts.map(([, { predictedError: error, shape }]) => ({ error, shape }))),
    measured: reached.length > 0 ? mean(reached) : null,
  };
}

function allFactorsFinite({ factors }: Refinement): boolean {
  return [...factors.values()].every(({ a, b }) => allFinite(a) && allFinite(b));
}
