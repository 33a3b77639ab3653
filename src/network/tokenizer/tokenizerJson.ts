import { Tokenizer as Library } from '@huggingface/tokenizers';
import { RankscopeError } from '../../base/errors.ts';
import { isObject, type JsonObject } from '../../bytes/boundedJson.ts';
import { MAX_TOKEN_LENGTH, MAX_VOCABULARY } from '../../bytes/limits.ts';
import { type AddedToken, addedTokenSplitter } from './addedTokens.ts';
import { bpe } from './bpe.ts';
import { type Decoding, decodeIds } from './decoding/decodeIds.ts';
import { cleanedUp, type DecodeStep, decodeStep } from './decoding/steps.ts';
import { encodeText } from './encodeText.ts';
import { preTokenizer } from './preTokenizer.ts';
import type { EncodePiece, Tokenizer } from './tokenizer.ts';
import { withinTime } from './withinTime.ts';
import { cached } from './wordCache.ts';

/**
 * The tokenizer of a `tokenizer.json` (Hugging Face's tokenizers), with the `tokenizer_config.json` beside it.
 * `@huggingface/tokenizers` translates patterns, normalizes, and runs the Unigram and WordPiece models. The loop over
 * the text and byte-pair encoding are our own: the library encodes a text in one go, which cannot be cancelled, always
 * finds special tokens in it, and takes a text that is not cut into words for a single one of a million objects.
 * @throws RankscopeError 'malformed', 'unsupported'
 */
export function tokenizerOfJson(file: string, json: unknown, config: JsonObject = {}): Tokenizer {
  const malformed = (found: string) =>
    new RankscopeError('malformed', file, found, 'It is damaged, or not a tokenizer.json: download it again');
  if (!isObject(json) || !isObject(json.model)) throw malformed('it has no tokenizer model');
  const { model } = json;
  const type = modelType(model);
  const added = addedTokensOf(json, malformed);
  let library: Library;
  try {
    library = libraryTokenizer(json, type, config);
  } catch (error) {
    throw malformed(`it could not be understood (${(error as Error).message})`);
  }
  const normalize = (text: string) => (library.normalizer ? library.normalizer(text) : text);
  const raw = addedTokenSplitter(added.filter(({ normalized }) => !normalized));
  let late: AddedToken[] = [];
  withinTime(file, () => {
    late = added
      .filter(({ normalized }) => normalized)
      .map((token) => ({ ...token, content: normalize(token.content) }));
  });
  const afterwards = addedTokenSplitter(late);
  const vocabulary = type === 'Unigram' ? undefined : vocabularyOf(model, malformed);
  const encodePiece =
    type === 'BPE' ? bpe(file, bpeOf(model, vocabulary!, malformed)) : libraryModel(library, model, type);
  const stages = {
    splitAdded: (text: string, normalized: boolean, special: boolean) =>
      normalized ? afterwards(text, special) : raw(text, special),
    normalize,
    cut: preTokenizer(file, json.pre_tokenizer),
    encodePiece,
  };
  const idOf = (token: string) =>
    added.find(({ content }) => content === token)?.id ?? library.token_to_id(token) ?? vocabulary?.get(token);
  let steps: DecodeStep | undefined;
  let tokens: Map<number, string> | undefined;
  const namesOf = () => {
    tokens ??= new Map([
      ...Array.from(vocabulary ?? library.model!.tokens_to_ids, ([token, id]): [number, string] => [id, token]),
      // What is found in normalized text is also written so: the mark of a space that it took belongs to it.
      ...[...added, ...late].map(({ id, content }): [number, string] => [id, content]),
    ]);
    return tokens;
  };
  const special = new Set(added.filter((token) => token.special).map(({ id }) => id));
  const decoding: Decoding = {
    file,
    tokenOf: (id) => namesOf().get(id),
    isSpecial: (id) => special.has(id),
    step() {
      steps ??= decodeStep(file, json.decoder);
      return steps;
    },
  };
  // transformers ignores this setting for byte-pair encodings, whose texts it would change.
  const clean = config.clean_up_tokenization_spaces === true && type !== 'BPE' ? cleanedUp : (text: string) => text;
  const prefix = prefixOf(library);
  const start = prefix ?? textOf(config.bos_token);
  let largest = Math.max(library.model!.vocab.length - 1, ...added.map(({ id }) => id));
  for (const id of vocabulary?.values() ?? []) largest = Math.max(largest, id);
  return {
    kind: `tokenizer.json, ${type}`,
    file,
    vocabularySize: largest + 1,
    start: start === undefined ? undefined : idOf(start),
    // transformers, too, follows the post-processor alone, whatever add_bos_token says.
    addsStart: prefix !== undefined,
    encode: (text, options) => encodeText(file, stages, text, options),
    decode: (ids, options) => clean(decodeIds(decoding, ids, options)),
  };
}

/** The kind of a model, which old files do not name. */
function modelType(model: JsonObject): string {
  if (typeof model.type === 'string') return model.type;
  if (Array.isArray(model.vocab)) return 'Unigram';
  return 'merges' in model ? 'BPE' : 'WordPiece';
}

/** The library's tokenizer, without what it is not needed for: a BPE's vocabulary, and tokens in the text. */
function libraryTokenizer(json: JsonObject, type: string, config: JsonObject): Library {
  if (!['BPE', 'Unigram', 'WordPiece'].includes(type))
    throw new Error(`its model ${JSON.stringify(type)} is not known`);
  const model = type === 'BPE' ? { type, vocab: {}, merges: [] } : { ...(json.model as JsonObject), type };
  const { normalizer = null, post_processor = null } = json;
  return new Library(
    { added_tokens: [], normalizer, pre_tokenizer: null, post_processor, decoder: null, model },
    { eos_token: textOf(config.eos_token) },
  );
}

type Malformed = (found: string) => RankscopeError;

function isId(id: unknown): id is number {
  return Number.isInteger(id) && (id as number) >= 0 && (id as number) < MAX_VOCABULARY;
}

function addedTokensOf({ added_tokens: list = [] }: JsonObject, malformed: Malformed): AddedToken[] {
  if (!Array.isArray(list)) throw malformed('its added tokens are not a list');
  return list.map((token: unknown): AddedToken => {
    if (!isObject(token) || typeof token.content !== 'string' || !isId(token.id))
      throw malformed('an added token has no text or no id');
    if (token.content.length > MAX_TOKEN_LENGTH)
      throw malformed(`an added token has ${token.content.length} characters`);
    const special = token.special === true;
    return {
      content: token.content,
      id: token.id,
      special,
      normalized: typeof token.normalized === 'boolean' ? token.normalized : !special,
      singleWord: token.single_word === true,
      stripLeft: token.lstrip === true,
      stripRight: token.rstrip === true,
    };
  });
}

function vocabularyOf(model: JsonObject, malformed: Malformed): Map<string, number> {
  if (!isObject(model.vocab)) throw malformed('its model has no vocabulary');
  const vocabulary = new Map<string, number>();
  for (const [token, id] of Object.entries(model.vocab)) {
    if (!isId(id)) throw malformed(`the token ${JSON.stringify(token.slice(0, 100))} has the id ${JSON.stringify(id)}`);
    if (token.length > MAX_TOKEN_LENGTH) throw malformed(`a token has ${token.length} characters`);
    vocabulary.set(token, id);
  }
  return vocabulary;
}

function bpeOf(model: JsonObject, vocabulary: ReadonlyMap<string, number>, malformed: Malformed) {
  const list = model.merges ?? [];
  if (!Array.isArray(list)) throw malformed('its merges are not a list');
  const merges = list.map((merge: unknown): [string, string] => {
    const parts = typeof merge === 'string' ? merge.split(' ') : merge;
    if (!Array.isArray(parts) || parts.length !== 2 || !parts.every((part) => typeof part === 'string' && part))
      throw malformed(`the merge ${JSON.stringify(merge)?.slice(0, 100)} is not a pair of tokens`);
    return [parts[0], parts[1]];
  });
  const unknown = textOf(model.unk_token);
  return {
    vocabulary,
    merges,
    unknown: unknown === undefined ? undefined : vocabulary.get(unknown),
    fuseUnknown: model.fuse_unk === true,
    byteFallback: model.byte_fallback === true,
    ignoreMerges: model.ignore_merges === true,
    prefix: textOf(model.continuing_subword_prefix) ?? '',
    suffix: textOf(model.end_of_word_suffix) ?? '',
  };
}

/** The library's own model. */
function libraryModel(library: Library, json: JsonObject, type: string): EncodePiece {
  const model = library.model!;
  const unknown = type === 'Unigram' ? (json.unk_id as number) : model.tokens_to_ids.get(textOf(json.unk_token) ?? '');
  return cached((piece) => {
    const ids = model([piece]).map((token) => model.tokens_to_ids.get(token) ?? unknown);
    return ids.filter((id): id is number => id !== undefined);
  });
}

/** The token that the post-processor puts in front of a text; undefined if it puts none there. */
function prefixOf(library: Library): string | undefined {
  const tokens = library.post_processor?.post_process([MARK], null, true).tokens ?? [MARK];
  return tokens.indexOf(MARK) > 0 ? tokens[0] : undefined;
}

const MARK = '\0text';

/** A text, or the content of a token written as an object. */
function textOf(token: unknown): string | undefined {
  if (typeof token === 'string') return token;
  return isObject(token) && typeof token.content === 'string' ? token.content : undefined;
}
