import { basename } from 'node:path';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { isSameFile } from '../../files/wholeFile.ts';
import type { CompressionText, CompressRequest, WindowShare } from '../../model/compression.ts';
import type { Network } from '../../network/network.ts';
import { readWindows } from '../../network/readWindows.ts';
import { digestOfWindows, tokensIn, windowsOf } from '../../network/windows.ts';
import { REPEATED, repetitionNotes, sharedRuns } from './repeatedRuns.ts';
import { HELD_OUT, type SplitWindows, splitWindows, UNSEEN } from './splitWindows.ts';

/** Tokens for calibration by default, and of a window. */
const TOKENS = 16_384;
const CONTEXT = 512;
/** The shortest windows that a short text is cut into by itself, and how many of them it should have. */
const [SHORTEST, ENOUGH] = [32, 8];
/** The most tokens of a text that is only measured. */
const MEASURED_TOKENS = 8192;

/** A text that the network wrote itself. */
export interface SampledText {
  readonly ids: Int32Array;
  /** In front of every window; undefined if the tokenizer adds none. */
  readonly startToken: number | undefined;
  readonly tokenizer: string;
  readonly starts: number;
  readonly seed: number;
}

/** The windows of a compression, and what is measured behind it. */
export interface PreparedText extends SplitWindows {
  readonly text: CompressionText;
  /** What `unseen` was taken from, for people. */
  readonly measured: { readonly name: string; readonly windows: readonly Int32Array[] };
  /** Warnings, one sentence each. */
  readonly notes: readonly string[];
}

/** Whether a request has a text; without one, the network writes it. */
export function hasText({ text, ids }: Pick<CompressRequest, 'text' | 'ids'>): boolean {
  return text !== undefined || ids !== undefined;
}

/** Tokens of a text for everything that a compression does with it, in whole windows. */
export function tokensWanted(request: CompressRequest, longest: number) {
  const { tokens = TOKENS, evaluate } = request;
  const context = request.context ?? usualContext(Number.POSITIVE_INFINITY, longest, request);
  const windows = Math.max(1, Math.floor(tokens / context));
  const heldOut = Math.max(1, Math.round(windows * HELD_OUT));
  const unseen = Math.max(1, Math.round(windows * UNSEEN));
  return {
    context,
    calibration: windows * context,
    heldOut: heldOut * context,
    measured: evaluate === undefined ? unseen * context : MEASURED_TOKENS,
    /** Without which no window is left for one of the purposes. */
    fewest: (evaluate === undefined ? 3 : 2) * (request.context ?? Math.min(SHORTEST, context)),
    all: (windows + heldOut + (evaluate === undefined ? unseen : 0)) * context,
  };
}

/**
 * Reads the text of a request, or takes the one that the network wrote, and cuts it into windows for each purpose.
 * @throws RankscopeError as `readWindows` does, 'wrong-use' for a text with too few windows
 */
export async function prepareText(
  checkpoint: Checkpoint,
  network: Network,
  request: CompressRequest,
  sampled: SampledText | undefined,
  signal: AbortSignal | undefined,
): Promise<PreparedText> {
  const { context: longest } = network.decoder;
  const contextFor = (tokens: number) => usualContext(tokens, longest, request);
  const { text, ids, context } = request;
  const source = sampled
    ? sampledWindows(sampled, network, request.context ?? contextFor(sampled.ids.length))
    : await readWindows(
        checkpoint,
        network,
        {
          ...(text === undefined ? {} : { text }),
          ...(ids === undefined ? {} : { ids }),
          ...(context === undefined ? {} : { context }),
        },
        signal,
        contextFor,
      );
  const { windows, facts } = source;
  const split = splitWindows(windows, {
    subject: facts.name,
    calibration: Math.max(1, Math.floor((request.tokens ?? TOKENS) / facts.context)),
    unseen: request.evaluate === undefined,
  });
  const used = [...split.calibration, ...split.heldOut, ...split.unseen];
  const other = request.evaluate
    ? await readWindows(
        checkpoint,
        network,
        { text: request.evaluate, context: facts.context, tokens: Math.max(facts.context, MEASURED_TOKENS) },
        signal,
      )
    : undefined;
  const measured = other?.windows ?? split.unseen;
  return {
    ...split,
    measured: { name: other?.facts.name ?? `unseen windows of ${facts.name}`, windows: measured },
    text: {
      name: sampled ? null : facts.name,
      sampled: sampled ? { starts: sampled.starts, temperature: 1, seed: sampled.seed } : null,
      digest: digestOfWindows(used),
      tokens: facts.tokens,
      context: facts.context,
      startToken: facts.startToken,
      tokenizer: facts.tokenizer,
      calibration: shareOf(split.calibration),
      heldOut: shareOf(split.heldOut),
      unseen: shareOf(split.unseen),
      dropped: facts.tokens - used.length * (facts.context - (facts.startToken === null ? 0 : 1)),
    },
    notes: [
      ...source.notes,
      ...(other?.notes ?? []),
      ...(sampled ? ['No text was given: the network wrote one itself, so no figure tells of texts by people.'] : []),
      ...textWarnings(split, measured, {
        other: other && basename(request.evaluate!),
        isSame: text !== undefined && request.evaluate !== undefined && (await isSameFile(text, request.evaluate)),
      }),
    ],
  };
}

/** Shorter windows for a short text, so that each purpose gets some. */
function usualContext(tokens: number, longest: number, request: Pick<CompressRequest, 'tokens'>): number {
  let context = Math.min(CONTEXT, longest, request.tokens ?? TOKENS);
  while (context > SHORTEST && tokens / context < ENOUGH) context = Math.max(SHORTEST, Math.floor(context / 2));
  return context;
}

function sampledWindows({ ids, startToken, tokenizer }: SampledText, network: Network, context: number) {
  const subject = 'the text that the network wrote itself';
  const { windows, dropped } = windowsOf(ids, {
    subject,
    start: startToken,
    modelContext: network.decoder.context,
    context,
  });
  const facts = { name: subject, tokens: ids.length, context, startToken: startToken ?? null, tokenizer, dropped };
  return { windows, facts, notes: [] };
}

/** What a person must know before they trust the figures. */
function textWarnings(
  { calibration, heldOut }: SplitWindows,
  measured: readonly Int32Array[],
  { other, isSame }: { readonly other: string | undefined; readonly isSame: boolean },
): string[] {
  const notes = repetitionNotes('The calibration text', calibration);
  const percent = (share: number) => `${Math.round(100 * share)} %`;
  const shared = sharedRuns(measured, [...calibration, ...heldOut]);
  if (shared >= REPEATED || isSame)
    notes.push(
      other === undefined
        ? `The unseen windows repeat the calibration windows (${percent(shared)} of their runs of 16 tokens): they are not unseen.`
        : `The evaluation text ${other} is the calibration text, or mostly so (${percent(shared)} of its runs of 16 tokens): what is measured on it is no measure of other texts.`,
    );
  return notes;
}

function shareOf(windows: readonly Int32Array[]): WindowShare {
  return { windows: windows.length, tokens: tokensIn(windows) };
}
