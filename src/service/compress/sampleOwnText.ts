import { RankscopeError } from '../../base/errors.ts';
import { seededRandom } from '../../base/random.ts';
import type { Backend } from '../../devices/backend.ts';
import { endTokens } from '../../network/generation/endTokens.ts';
import { sampleText } from '../../network/generation/sampleText.ts';
import type { Network } from '../../network/network.ts';
import { openTokenizer } from '../../network/tokenizer/openTokenizer.ts';
import type { Tokenizer } from '../../network/tokenizer/tokenizer.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { loadResident } from '../generate/continueBeside.ts';
import type { SampledText } from './textForCompression.ts';

/** Frequent words with which texts begin, for models without a start token. */
const WORDS = ['The', 'In', 'A', 'It', 'When', 'This', 'There', 'One', 'We', 'For'];
/** Tokens of one text. */
const LONGEST = 512;

/** How the network begins and ends its texts. */
export interface OwnTextForm {
  readonly starts: readonly (readonly number[])[];
  /** In front of every window; undefined if the tokenizer adds none. */
  readonly startToken: number | undefined;
  readonly tokenizer: string;
}

/**
 * What a network without a text continues: the start token; without one, the token that ends texts, which also stands
 * them, or else frequent words; without a tokenizer, the first tokens of the vocabulary.
 */
export async function ownTextForm(
  { checkpoint }: Opened,
  network: Network,
  signal: AbortSignal | undefined,
): Promise<OwnTextForm> {
  const tokenizer = await openTokenizer(checkpoint, signal).catch((error: unknown): Tokenizer | undefined => {
    if (error instanceof RankscopeError && error.code !== 'cancelled') return undefined;
    throw error;
  });
  const rows = network.weights.linear(network.prefix + network.modules.embedding).outputs;
  const isToken = (id: unknown): id is number =>
    Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < rows;
  const configured = checkpoint.configuration?.bos_token_id;
  const start = [tokenizer?.start, configured].find(isToken);
  const ends = [...(await endTokens(checkpoint, signal))].filter(isToken);
  const words = async () => {
    const found: number[][] = [];
    for (const word of tokenizer ? WORDS : []) {
      const ids = [...(await tokenizer!.encode(word, { signal }))].filter(isToken);
      if (ids.length > 0) found.push(ids);
    }
    return found;
  };
  const found = start !== undefined ? [[start]] : ends.length > 0 ? [[ends[0]!]] : await words();
  const first = Array.from({ length: Math.min(WORDS.length, rows) }, (_, id) => [id]);
  return {
    starts: found.length > 0 ? found : first,
    startToken: tokenizer?.addsStart && isToken(tokenizer.start) ? tokenizer.start : undefined,
    tokenizer: tokenizer?.kind ?? 'none: the network wrote ids itself',
  };
}

/** Has the network write `tokens` tokens, or as many as there is time for. */
export async function sampleOwnText(
  backend: Backend,
  opened: Opened,
  network: Network,
  form: OwnTextForm,
  options: {
    readonly tokens: number;
    readonly seed: number;
    readonly seconds: number | undefined;
    readonly signal: AbortSignal | undefined;
    readonly progress: (tokens: number) => void;
  },
): Promise<Int32Array> {
  const { tokens, seed, seconds, signal, progress } = options;
  const longest = Math.min(LONGEST, network.decoder.context);
  const resident = await loadResident(backend, network, opened, longest, { signal });
  const started = performance.now();
  try {
    return await sampleText(resident, {
      random: seededRandom(seed),
      starts: form.starts,
      tokens,
      longest,
      ends: await endTokens(opened.checkpoint, signal),
      isTime: () => seconds === undefined || performance.now() - started < 1000 * seconds,
      progress,
    });
  } finally {
    resident.free();
  }
}

/** The text in the form in which its windows are cut. */
export function sampledTextOf(
  { starts, startToken, tokenizer }: OwnTextForm,
  ids: Int32Array,
  seed: number,
): SampledText {
  return { ids, startToken, tokenizer, starts: starts.length, seed };
}
