import { RankscopeError } from '../../base/errors.ts';
import { MAX_TOKEN_LENGTH, MAX_VOCABULARY } from '../../bytes/limits.ts';
import { PIECE, sentencePieceTokenizer } from './sentencePiece.ts';
import type { Tokenizer } from './tokenizer.ts';

const TEXT = new TextDecoder('utf-8', { ignoreBOM: true });
/** The numbers of fields in sentencepiece_model.proto. */
const MODEL = { piece: 1, trainer: 2, normalizer: 3 };
const ENTRY = { text: 1, score: 2, type: 3 };
const TRAINER = { modelType: 3, whitespaceAsSuffix: 24, start: 41 };
const NORMALIZER = { characterMap: 2, dummyPrefix: 3, removeExtraSpaces: 4, escapeSpaces: 5 };

/** The model types of which only BPE is read. */
const TYPES = ['', 'unigram', 'BPE', 'word', 'char'];
const BPE = TYPES.indexOf('BPE');

/** A SentencePiece `tokenizer.model` of the kind BPE without normalization, as LLaMA, Mistral and Gemma have it. */
export function sentencePieceModel(file: string, bytes: Uint8Array, addsStart: boolean): Tokenizer {
  const malformed = (found: string) =>
    new RankscopeError('malformed', file, found, 'It is damaged, or not a model of SentencePiece');
  const pieces: string[] = [];
  const scores: number[] = [];
  const types: number[] = [];
  let trainer = new Map<number, Value>();
  let normalizer = new Map<number, Value>();
  for (const { field, value } of fieldsOf(bytes, malformed)) {
    if (!(value instanceof Uint8Array)) continue;
    const message = () => new Map([...fieldsOf(value, malformed)].map((each) => [each.field, each.value]));
    if (field === MODEL.trainer) trainer = message();
    if (field === MODEL.normalizer) normalizer = message();
    if (field !== MODEL.piece) continue;
    if (pieces.length >= MAX_VOCABULARY) throw malformed(`it has more than ${MAX_VOCABULARY} pieces`);
    const entry = message();
    const text = entry.get(ENTRY.text);
    if (!(text instanceof Uint8Array) || text.length > MAX_TOKEN_LENGTH)
      throw malformed(`piece ${pieces.length} has no text, or a text of more than ${MAX_TOKEN_LENGTH} bytes`);
    pieces.push(TEXT.decode(text));
    scores.push(numberOf(entry.get(ENTRY.score), 0));
    types.push(numberOf(entry.get(ENTRY.type), PIECE.normal));
  }
  if (pieces.length === 0) throw malformed('it has no pieces');
  const modelType = numberOf(trainer.get(TRAINER.modelType), 1);
  const map = normalizer.get(NORMALIZER.characterMap);
  const unread = [
    [modelType !== BPE, `its model type is ${TYPES[modelType] ?? modelType}, where BPE is read`],
    [map instanceof Uint8Array && map.length > 0, 'it normalizes texts by a table of characters'],
    [numberOf(trainer.get(TRAINER.whitespaceAsSuffix), 0) === 1, 'it writes spaces behind words'],
    [numberOf(normalizer.get(NORMALIZER.removeExtraSpaces), 1) === 1, 'it removes repeated spaces'],
    [numberOf(normalizer.get(NORMALIZER.escapeSpaces), 1) === 0, 'it does not escape spaces'],
  ] as const;
  const refused = unread.find(([found]) => found)?.[1];
  if (refused)
    throw new RankscopeError(
      'unsupported',
      file,
      refused,
      'Save the tokenizer with AutoTokenizer.from_pretrained(...).save_pretrained(...), which writes a tokenizer.json',
    );
  const start = numberOf(trainer.get(TRAINER.start), 1);
  return sentencePieceTokenizer({
    kind: 'SentencePiece',
    file,
    pieces,
    scores,
    types,
    start: start >= 0 && start < pieces.length ? start : undefined,
    addsStart,
    spacePrefix: numberOf(normalizer.get(NORMALIZER.dummyPrefix), 1) === 1,
  });
}

type Value = number | Uint8Array;

function numberOf(value: Value | undefined, absent: number): number {
  return typeof value === 'number' ? value : absent;
}

/** The fields of a protobuf message. Varints are read as signed 32-bit numbers, which all that are used here fit. */
function* fieldsOf(bytes: Uint8Array, malformed: (found: string) => RankscopeError) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (length: number) => {
    if (at + length > bytes.length) throw malformed('it ends inside a field');
    at += length;
    return at - length;
  };
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[take(1)]!;
      if (shift < 32) value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw malformed('a number is too long');
  };
  while (at < bytes.length) {
    const key = varint() >>> 0;
    const field = key >>> 3;
    switch (key & 7) {
      case 0:
        yield { field, value: varint() as Value };
        break;
      case 1:
        take(8);
        break;
      case 2: {
        const length = varint() >>> 0;
        const start = take(length);
        yield { field, value: bytes.subarray(start, start + length) as Value };
        break;
      }
      case 5:
        yield { field, value: view.getFloat32(take(4), true) as Value };
        break;
      default:
        throw malformed(`field ${field} is of an unknown kind`);
    }
  }
}
