import type { Backend } from '../../devices/backend.ts';
import {
  type CompressionEstimate,
  type CompressionSchedule,
  type CompressRequest,
  REFINEMENT,
} from '../../model/compression.ts';
import { moduleOfWeight } from '../../model/names/moduleOfWeight.ts';
import { inputGroups } from '../../network/inputGroups.ts';
import type { Network } from '../../network/network.ts';
import { largestBlock } from '../../network/passMemory.ts';
import { refinementMemory } from '../../network/refinement/refinementMemory.ts';

/** What the work depends on; all from shapes and windows. */
export interface WorkSize {
  readonly layers: number;
  /** Parameters of the linear layers in all blocks, and of the head. */
  readonly blockParameters: number;
  readonly headParameters: number;
  /** Matrices that a plan may cut, each [m, n], and how many groups of layers read the same inputs. */
  readonly matrices: readonly (readonly [number, number])[];
  readonly width: number;
  readonly calibrationTokens: number;
  readonly heldOutTokens: number;
  /** Of the windows on which the network is measured before and after. */
  readonly measuredTokens: number;
  readonly tokensOfStep: number;
  /** Tokens that the network must still write itself; 0 where there is a text. */
  readonly sampledTokens: number;
  /** Share of the parameters that the cut matrices keep. */
  readonly keep: number;
}

/** What of the work is asked for. */
interface WorkWanted extends Pick<CompressRequest, 'minutes' | 'refine' | 'steps'> {
  /** Whether the losses of the matrices are known from before. */
  readonly isMeasured?: boolean;
  /** Seconds of the limit that are gone. */
  readonly spent?: number;
}

/** Fewer steps of the refinement of a block are not worth their time. */
const FEWEST = 24;
/** Of which the fastest says how fast the device is. */
const PRODUCTS_TIMED = 4;
/** Tokens on which the loss of one matrix at a time is measured. */
const LOSS_TOKENS = 1024;
/** How much of the rate of large products a pass, a decomposition and single tokens reach. */
const EFFICIENCY = { pass: 0.7, decomposition: 0.25, token: 0.08 } as const;
/** Passes of a block for its truncation: dense and compressed, and again for each group of layers behind the first. */
const TRUNCATION_PASSES = 5;
/** A step passes forward and, at twice the price, backward. */
const STEP_PASSES = 3;
/** Of the time that is left, what measuring losses may take if it cannot take all that it wants. */
const LOSS_SHARE = 0.4;

/**
 * Floating-point operations that one second does, from the fastest of several products: on a busy machine most of them
 * wait for a processor, and the work that follows would seem to take hours.
 */
export async function productRate(backend: Backend, side = 512): Promise<number> {
  const [a, b, out] = [
    await backend.allocate(side, side),
    await backend.allocate(side, side),
    await backend.allocate(side, side),
  ];
  try {
    for (const matrix of [a, b]) await backend.upload(matrix, 0, side, (values) => void values.fill(0.5));
    // The first one may start threads, or compile.
    await backend.multiply(out, a, b);
    const started = performance.now();
    let least = Number.POSITIVE_INFINITY;
    for (let now = started; now - started < 100; ) {
      const began = now;
      for (let k = 0; k < PRODUCTS_TIMED; k++) await backend.multiply(out, a, b);
      // Until this is there, a device may only have been told what to do.
      await backend.download(out);
      now = performance.now();
      least = Math.min(least, now - began);
    }
    return (2 * side ** 3 * PRODUCTS_TIMED * 1000) / Math.max(0.1, least);
  } finally {
    for (const matrix of [a, b, out]) backend.free(matrix);
  }
}

/**
 * What a compression will take on a device with this rate, in operations a second, and what a limit of time leaves of
 * it. Fewer steps come before no refinement, and a part of the losses before none.
 */
export function estimateWork(
  size: WorkSize,
  rate: number,
  { minutes, refine = true, steps = REFINEMENT.steps, isMeasured = false, spent = 0 }: WorkWanted,
): Omit<CompressionEstimate, 'memoryBytes' | 'diskBytes'> {
  const pass = (tokens: number, parameters: number) => (2 * tokens * parameters) / (rate * EFFICIENCY.pass);
  const { blockParameters, headParameters, calibrationTokens, heldOutTokens, matrices } = size;
  const whole = blockParameters + headParameters;
  const decompositions = matrices.reduce((sum, [m, n]) => sum + 12 * n ** 3 + 10 * m * n * Math.min(m, n), 0);
  const decomposing = decompositions / (rate * EFFICIENCY.decomposition);
  const inputs = matrices.reduce((sum, [, n]) => sum + n, 0) / Math.max(1, matrices.length);
  const moments = (size.matrices.length * calibrationTokens * inputs ** 2) / (rate * EFFICIENCY.pass);
  const text = (2 * size.sampledTokens * whole) / (rate * EFFICIENCY.token);
  const statistics = isMeasured ? 0 : pass(calibrationTokens, blockParameters) + moments + decomposing;
  const truncation =
    TRUNCATION_PASSES * pass(calibrationTokens, blockParameters) +
    pass(2 * heldOutTokens, blockParameters) +
    2 * moments +
    decomposing;
  const measure = pass(2 * size.measuredTokens, whole);
  const write = (4 * whole) / 2e8;
  // Each starts from the stored input of its block: on average, half of the blocks pass.
  const losses = isMeasured ? 0 : matrices.length * pass(LOSS_TOKENS, blockParameters / 2 + headParameters);
  // A held-out pass every few steps comes to the same as one for each step of a batch.
  const step = STEP_PASSES * pass(size.tokensOfStep, blockParameters) + pass(heldOutTokens, blockParameters) / 8;

  const fixed = spent + text + statistics + truncation + measure + write;
  const wantedSteps = refine ? steps : 0;
  const { schedule, notes } = fitted({
    fixed,
    losses,
    step,
    wantedSteps,
    limit: minutes === undefined ? null : 60 * minutes,
  });
  const seconds = {
    ...(text > 0 ? { text } : {}),
    plan: statistics + Math.min(losses, schedule.measureSeconds ?? losses),
    blocks: truncation + schedule.steps * step,
    write,
    measure,
  };
  return { seconds, secondsTotal: Object.values(seconds).reduce((sum, own) => sum + own, 0), schedule, notes };
}

interface Prices {
  readonly fixed: number;
  /** Of measuring all losses. */
  readonly losses: number;
  /** Of one step in all blocks. */
  readonly step: number;
  readonly wantedSteps: number;
  /** Seconds for everything; null for no limit. */
  readonly limit: number | null;
}

function fitted({ fixed, losses, step, wantedSteps, limit }: Prices): {
  schedule: CompressionSchedule;
  notes: string[];
} {
  if (limit === null) return { schedule: { steps: wantedSteps, measureSeconds: null }, notes: [] };
  const left = limit - fixed;
  if (left >= losses + wantedSteps * step) return { schedule: { steps: wantedSteps, measureSeconds: null }, notes: [] };
  const minutes = (seconds: number) => `${Math.max(1, Math.round(seconds / 60))} min`;
  if (left <= 0)
    return {
      schedule: { steps: 0, measureSeconds: 0 },
      notes: [
        `Even without measured losses and refinement it takes about ${minutes(fixed)}, more than the ${minutes(limit)} that were given.`,
      ],
    };
  const forLosses = Math.min(losses, wantedSteps === 0 ? left : LOSS_SHARE * left);
  const steps = Math.min(wantedSteps, Math.floor((left - forLosses) / step));
  const isRefined = steps >= Math.min(FEWEST, wantedSteps) && wantedSteps > 0;
  const measureSeconds = isRefined ? Math.min(losses, left - steps * step) : Math.min(losses, left);
  const notes = [];
  if (isRefined && steps < wantedSteps)
    notes.push(`The time allows ${steps} of ${wantedSteps} steps of refinement for each block.`);
  if (!isRefined && wantedSteps > 0) notes.push('The time does not allow to refine the blocks.');
  if (measureSeconds < 0.99 * losses)
    notes.push(
      `The time allows to measure the loss of about ${Math.round((100 * measureSeconds) / losses)} % of the matrices; the others are filled in.`,
    );
  return {
    schedule: { steps: isRefined ? steps : 0, measureSeconds: measureSeconds < 0.99 * losses ? measureSeconds : null },
    notes,
  };
}

/**
 * Bytes at the peak: the block that takes most while it is refined, or else passes, the second moments of its widest
 * inputs, and the residual streams of all windows, dense and compressed, before and behind a block.
 */
export function memoryOf(network: Network, size: WorkSize, steps: number): number {
  const rows = size.tokensOfStep;
  const streams = 4 * 4 * (size.calibrationTokens + size.heldOutTokens) * size.width;
  const moments = 4 * 8 * Math.max(0, ...size.matrices.map(([, n]) => n)) ** 2;
  const passing = largestBlock(network, [], rows);
  const ranks = new Map(
    inputGroups(network).flatMap(({ matrices }) =>
      Object.entries(matrices).map(([name, [m, n]]) => {
        const rank = Math.max(1, Math.floor((size.keep * m * n) / (m + n)));
        return [moduleOfWeight(name), rank] as const;
      }),
    ),
  );
  const refining = network.decoder.layers.map((_, layer) => refinementMemory(network, layer, ranks, rows));
  const blocks = steps > 0 ? [passing, ...refining] : [passing];
  const largest = Math.max(...blocks.map(({ weights, activations }) => weights + activations));
  return Math.round(Math.max(largest, passing.weights + moments) + streams);
}
