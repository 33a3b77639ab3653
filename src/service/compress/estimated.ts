import type { Backend } from '../../devices/backend.ts';
import type { CompressionEstimate, CompressionSchedule, CompressRequest } from '../../model/compression.ts';
import { refuseIfMomentsTooLarge } from '../../network/groupwise/memory.ts';
import { inputGroups } from '../../network/inputGroups.ts';
import type { Network } from '../../network/network.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { estimateWork, memoryOf, productRate, type WorkSize } from './estimate.ts';
import { sizeNote } from './planRequest.ts';
import { type PreparedText, tokensWanted } from './textForCompression.ts';

/** Rows of a batch, which a step of the refinement passes. */
const BATCH_ROWS = 2048;

/** Tokens by what they are for. */
export interface TokensOfWork {
  readonly context: number;
  readonly calibration: number;
  readonly heldOut: number;
  /** Of what is measured behind it. */
  readonly measured: number;
  /** That the network must write first. */
  readonly sampled: number;
}

interface EstimateParts {
  readonly backend: Backend;
  readonly opened: Opened;
  readonly network: Network;
  readonly request: CompressRequest;
  readonly tokens: TokensOfWork;
  /** Whether the losses of the matrices need not be measured. */
  readonly isMeasured: boolean;
  /** What an earlier run decided, which holds; its plan is made. */
  readonly known: CompressionSchedule | undefined;
  /** Seconds of the time that are spent already; none by default. */
  readonly spent?: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * What a compression will take, and how it is arranged so that it fits the time: from shapes, tokens and a product that
 * is measured on the device.
 * @throws RankscopeError 'too-large' with the bytes if a block does not fit on the device
 */
export async function estimated(parts: EstimateParts): Promise<CompressionEstimate> {
  const { backend, network, request, tokens, isMeasured, known, spent = 0 } = parts;
  const size = workSize(parts);
  refuseIfMomentsTooLarge(network, backend, () => true, Math.max(size.tokensOfStep, tokens.context));
  const work = estimateWork(size, await productRate(backend), { ...request, isMeasured, spent });
  const schedule = known ?? work.schedule;
  const seconds = known ? { ...work.seconds, plan: 0 } : work.seconds;
  const unmet = await sizeNote({ ...parts, isByLoss: isMeasured || schedule.measureSeconds !== 0 });
  return {
    ...work,
    seconds,
    secondsTotal: Object.values(seconds).reduce((sum, own) => sum + own, 0),
    schedule,
    memoryBytes: memoryOf(network, size, schedule.steps),
    diskBytes: Math.round(4 * request.keep * size.blockParameters),
    notes: [...(unmet === undefined ? [] : [unmet]), ...work.notes, ...tooFewTokens(parts, size)],
  };
}

function workSize({ network, request, tokens }: EstimateParts): WorkSize {
  const { decoder } = network;
  const groups = inputGroups(network);
  const shapes = (blocks: boolean) =>
    groups.filter(({ layer }) => (layer !== null) === blocks).flatMap(({ matrices }) => Object.values(matrices));
  const parameters = (list: readonly (readonly [number, number])[]) => list.reduce((sum, [m, n]) => sum + m * n, 0);
  const { calibration, context, measured } = tokens;
  return {
    layers: decoder.layers.length,
    blockParameters: parameters(shapes(true)),
    headParameters: parameters(shapes(false)),
    matrices: shapes(true),
    width: decoder.width,
    calibrationTokens: calibration,
    heldOutTokens: tokens.heldOut,
    measuredTokens: measured + Math.min(measured, calibration),
    tokensOfStep: Math.min(calibration, Math.max(context, Math.floor(BATCH_ROWS / context) * context)),
    sampledTokens: tokens.sampled,
    keep: request.keep,
  };
}

/** The tokens of a text that is there. */
export function tokensOf({ text, measured }: PreparedText): TokensOfWork {
  return {
    context: text.context,
    calibration: text.calibration.tokens,
    heldOut: text.heldOut.tokens,
    measured: measured.windows.length * text.context,
    sampled: 0,
  };
}

/** The tokens of a text that the network will write. */
export function tokensAhead(request: CompressRequest, network: Network): TokensOfWork {
  const wanted = tokensWanted(request, network.decoder.context);
  return { ...wanted, sampled: wanted.all };
}

/** Statistics of fewer tokens than columns do not tell all directions of the inputs apart. */
function tooFewTokens({ network, tokens: { calibration: tokens } }: EstimateParts, { matrices }: WorkSize): string[] {
  const widest = Math.max(0, ...matrices.map(([, n]) => n));
  if (tokens >= widest) return [];
  const short = matrices.filter(([, n]) => tokens < n).length;
  return [
    `The calibration text has ${tokens} tokens, fewer than the columns of ${short} of ${matrices.length} matrices in ${network.weights.subject} (up to ${widest}): what it does not show follows the weights alone. Give a longer text.`,
  ];
}
