import { RankscopeError } from '../../base/errors.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { addedTokenSplitter } from './addedTokens.ts';
import { bpe } from './bpe.ts';
import { inByteAlphabet } from './bytePieces.ts';
import { type Decoding, decodeIds } from './decoding/decodeIds.ts';
import { byteLevelDecode } from './decoding/steps.ts';
import { encodeText } from './encodeText.ts';
import { wordCut } from './preKinds.ts';
import { PIECE, sentencePieceTokenizer } from './sentencePiece.ts';
import type { Stages, Tokenizer } from './tokenizer.ts';

/** The tokenizer in a GGUF file's own metadata; undefined if there is none. @throws RankscopeError */
export async function ggufTokenizer(checkpoint: Checkpoint, signal?: AbortSignal): Promise<Tokenizer | undefined> {
  const model = checkpoint.metadata.get(`${KEYS}model`);
  if (model === undefined || !checkpoint.list) return undefined;
  if (model === 'gpt2') return byteLevelTokenizer(await vocabularyOf(checkpoint, signal), checkpoint, signal);
  if (model === 'llama') return scoredTokenizer(await vocabularyOf(checkpoint, signal), checkpoint, signal);
  throw unsupported(checkpoint, `its vocabulary is of the kind ${JSON.stringify(model)}; gpt2 and llama are read`);
}

const KEYS = 'tokenizer.ggml.';

interface Vocabulary {
  readonly file: string;
  readonly tokens: readonly string[];
  /** One of `PIECE` for each token. */
  readonly types: ArrayLike<number>;
}

async function vocabularyOf(checkpoint: Checkpoint, signal: AbortSignal | undefined): Promise<Vocabulary> {
  const file = checkpoint.files[0]!.path;
  const tokens = await checkpoint.list!(`${KEYS}tokens`, signal);
  if (!Array.isArray(tokens) || tokens.length === 0)
    throw malformed(checkpoint, `${KEYS}tokens is not a list of texts`);
  const types = (await numbers(checkpoint, 'token_type', signal)) ?? new Float64Array(tokens.length).fill(PIECE.normal);
  if (types.length < tokens.length)
    throw malformed(checkpoint, `it has ${tokens.length} tokens, but types of ${types.length}`);
  return { file, tokens, types };
}

/** A byte-pair encoding in GPT-2's alphabet of bytes, with a list of merges. */
async function byteLevelTokenizer(
  { file, tokens, types }: Vocabulary,
  checkpoint: Checkpoint,
  signal?: AbortSignal,
): Promise<Tokenizer> {
  // llama.cpp, too, takes a file without this key for this kind.
  const name = checkpoint.metadata.get(`${KEYS}pre`) ?? 'default';
  const words = wordCut(name);
  if (!words) throw unsupported(checkpoint, `its pre-tokenizer ${JSON.stringify(name.slice(0, 100))} is not known`);
  const list = await checkpoint.list!(`${KEYS}merges`, signal);
  if (!Array.isArray(list)) throw malformed(checkpoint, `${KEYS}merges is not a list of texts`);
  const merges = list.map((merge: string): [string, string] => {
    const space = merge.indexOf(' ', 1);
    if (space < 0 || space === merge.length - 1)
      throw malformed(checkpoint, `the merge ${JSON.stringify(merge.slice(0, 100))} is not a pair of tokens`);
    return [merge.slice(0, space), merge.slice(space + 1)];
  });
  const vocabulary = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (!vocabulary.has(token)) vocabulary.set(token, id);
  });
  const added = tokens.flatMap((content, id) => {
    const type = types[id];
    const special = type === PIECE.control || type === PIECE.unknown;
    if (!special && type !== PIECE.userDefined) return [];
    return [{ content, id, special, normalized: false, singleWord: false, stripLeft: false, stripRight: false }];
  });
  const split = addedTokenSplitter(added);
  const stages: Stages = {
    splitAdded: (text, normalized, special) => (normalized ? [text] : split(text, special)),
    normalize: (text) => text,
    *cut(text) {
      for (const word of words.cut(text)) yield inByteAlphabet(word);
    },
    encodePiece: bpe(file, { vocabulary, merges, ignoreMerges: words.ignoreMerges === true }),
  };
  const decoding: Decoding = {
    file,
    tokenOf: (id) => tokens[id],
    isSpecial: (id) => types[id] === PIECE.control || types[id] === PIECE.unknown,
    step: () => byteLevelDecode,
  };
  const start = startOf(checkpoint, tokens.length);
  return {
    kind: `GGUF gpt2, pre ${name}`,
    file,
    vocabularySize: tokens.length,
    start,
    addsStart: start !== undefined && (flag(checkpoint, 'add_bos_token') ?? words.addsStart ?? false),
    encode: (text, options) => encodeText(file, stages, text, options),
    decode: (ids, options) => decodeIds(decoding, ids, options),
  };
}

/** SentencePiece's byte-pair encoding, by scores. */
async function scoredTokenizer({ file, tokens, types }: Vocabulary, checkpoint: Checkpoint, signal?: AbortSignal) {
  const scores = await numbers(checkpoint, 'scores', signal);
  if (!scores) throw malformed(checkpoint, `${KEYS}scores is missing`);
  return sentencePieceTokenizer({
    kind: 'GGUF llama',
    file,
    pieces: tokens,
    scores,
    types,
    start: startOf(checkpoint, tokens.length) ?? (tokens.length > 1 ? 1 : undefined),
    addsStart: flag(checkpoint, 'add_bos_token') ?? true,
    spacePrefix: flag(checkpoint, 'add_space_prefix') ?? true,
  });
}

async function numbers(checkpoint: Checkpoint, key: string, signal: AbortSignal | undefined) {
  const list = await checkpoint.list!(KEYS + key, signal);
  if (list === undefined) return undefined;
  if (!(list instanceof Float64Array)) throw malformed(checkpoint, `${KEYS}${key} is not a list of numbers`);
  return list;
}

function flag({ metadata }: Checkpoint, key: string): boolean | undefined {
  const text = metadata.get(KEYS + key);
  return text === undefined ? undefined : text === 'true';
}

function startOf({ metadata }: Checkpoint, size: number): number | undefined {
  const id = Number(metadata.get(`${KEYS}bos_token_id`) ?? Number.NaN);
  return Number.isInteger(id) && id >= 0 && id < size ? id : undefined;
}

function malformed({ files }: Checkpoint, found: string): RankscopeError {
  return new RankscopeError('malformed', files[0]!.path, found, 'It is damaged: copy or download it again');
}

function unsupported({ files }: Checkpoint, found: string): RankscopeError {
  const remedy =
    'Name the tokenizer.json of the model, or encode the text with another tool and name its ids with --ids';
  return new RankscopeError('unsupported', files[0]!.path, found, remedy);
}
