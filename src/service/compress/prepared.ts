import { RankscopeError } from '../../base/errors.ts';
import type { Backend } from '../../devices/backend.ts';
import type { CompressRequest } from '../../model/compression.ts';
import type { Network } from '../../network/network.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { refuseTooManyTokens } from '../evaluate/streamMemory.ts';
import type { CompressionSteps } from './compressionSteps.ts';
import type { PartialFolder } from './partialFolder.ts';
import { ownTextForm, sampledTextOf, sampleOwnText } from './sampleOwnText.ts';
import { hasText, type PreparedText, prepareText, tokensWanted } from './textForCompression.ts';

export type OnDevice = <Result>(
  job: (backend: Backend, letOthers: () => Promise<void> | undefined) => Promise<Result>,
) => Promise<Result>;

export interface PreparedRequest {
  readonly opened: Opened;
  readonly network: Network;
  readonly request: CompressRequest & { readonly seed: number };
  readonly folder: PartialFolder;
  readonly onDevice: OnDevice;
  readonly steps: CompressionSteps;
  readonly signal: AbortSignal | undefined;
}

/** The share of the time that the network may spend on writing its own text, and the seconds without a limit. */
const [SAMPLING_SHARE, SAMPLING_SECONDS] = [0.25, 900];

/** The windows of the request's text, or of one that the network writes itself, unless an earlier run kept it. */
export async function prepared(parts: PreparedRequest): Promise<PreparedText> {
  const { opened, network, request, steps, signal } = parts;
  const isGiven = hasText(request);
  if (isGiven) steps.tell('text', { done: 0, total: 0, message: 'Reading the text' });
  const sampled = isGiven ? undefined : await ownText(parts);
  const text = await prepareText(opened.checkpoint, network, request, sampled, signal);
  const windows = [...text.calibration, ...text.heldOut];
  // Dense and compressed, before and behind a block.
  refuseTooManyTokens(network, { windows, facts: text.text }, 2);
  return text;
}

async function ownText({ opened, network, request, folder, onDevice, steps, signal }: PreparedRequest) {
  const form = await ownTextForm(opened, network, signal);
  const { seed, minutes } = request;
  const { all: tokens, fewest } = tokensWanted(request, network.decoder.context);
  const known = await folder.sampled();
  if (known) return sampledTextOf(form, known, seed);
  const seconds = minutes === undefined ? SAMPLING_SECONDS : SAMPLING_SHARE * 60 * minutes;
  const message = 'The model writes the text itself';
  const ids = await onDevice((backend) =>
    sampleOwnText(backend, opened, network, form, {
      tokens,
      seed,
      seconds,
      signal,
      progress: (done) => steps.tell('text', { done, total: tokens, message }),
    }),
  );
  // Kept, it would fail the same command for ever.
  if (ids.length < fewest)
    throw new RankscopeError(
      'wrong-use',
      'minutes',
      `in ${seconds.toFixed(0)} s the model wrote ${ids.length} tokens of the text, and at least ${fewest} are needed`,
      'Allow more minutes, choose shorter windows (context), or give a text',
    );
  await folder.saveSampled(ids);
  return sampledTextOf(form, ids, seed);
}
