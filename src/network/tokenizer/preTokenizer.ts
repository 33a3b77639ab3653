import { SplitPreTokenizer } from '@huggingface/tokenizers';
import { RankscopeError } from '../../base/errors.ts';
import { isObject, type JsonObject } from '../../bytes/boundedJson.ts';
import { MAX_PATTERN_LENGTH } from '../../bytes/limits.ts';
import { inByteAlphabet } from './bytePieces.ts';
import { type Cut, GPT2_WORDS, inTurn, type SplitBehavior, splitAt } from './split.ts';
import type { Place, Stages } from './tokenizer.ts';

const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu;
const WORDS =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu;
const SPACE = /\p{White_Space}/gu;

const BEHAVIORS: ReadonlyMap<unknown, SplitBehavior> = new Map([
  ...(['Isolated', 'Removed', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const).map(
    (name) => [name, name] as const,
  ),
  ...([
    ['isolated', 'Isolated'],
    ['removed', 'Removed'],
    ['merged_with_previous', 'MergedWithPrevious'],
    ['merged_with_next', 'MergedWithNext'],
    ['contiguous', 'Contiguous'],
  ] as const),
]);

/**
 * The pre-tokenizer that a `tokenizer.json` describes. The library translates its patterns; what is cut at them is our
 * own, because the library's cuts know JavaScript's white space and words only and leave out three of the behaviors.
 * @throws RankscopeError 'unsupported', 'malformed'
 */
export function preTokenizer(file: string, description: unknown): Stages['cut'] {
  const steps = stepsOf(file, description);
  return (text, place) => inTurn(steps.map((step) => step(place)))(text);
}

/** A pre-tokenizer as a cut that may depend on where the text is. */
type Step = (place: Place) => Cut;

const anywhere =
  (cut: Cut): Step =>
  () =>
    cut;

function stepsOf(file: string, description: unknown): Step[] {
  if (description === null || description === undefined) return [];
  if (!isObject(description)) throw malformed(file, 'its pre-tokenizer is not an object');
  const { type } = description;
  switch (type) {
    case 'Sequence': {
      const list = description.pretokenizers;
      if (!Array.isArray(list)) throw malformed(file, 'a sequence of pre-tokenizers has no list');
      return list.flatMap((each) => stepsOf(file, each));
    }
    case 'ByteLevel':
      return byteLevel(description);
    case 'Metaspace':
      return metaspace(description);
    case 'Split':
      return [
        anywhere(splitAt(patternOf(file, description), behaviorOf(file, description), description.invert === true)),
      ];
    case 'Digits':
      return [anywhere(splitAt(description.individual_digits === true ? /\p{N}/gu : /\p{N}+/gu))];
    case 'Punctuation':
      return [anywhere(splitAt(PUNCTUATION, behaviorOf(file, description)))];
    case 'Whitespace':
      return [anywhere(splitAt(WORDS, 'Removed', true))];
    case 'WhitespaceSplit':
      return [anywhere(splitAt(SPACE, 'Removed'))];
    case 'BertPreTokenizer':
      return [anywhere(splitAt(SPACE, 'Removed')), anywhere(splitAt(PUNCTUATION))];
    case 'CharDelimiterSplit':
      return [anywhere(splitAt(patternOf(file, { pattern: { String: description.delimiter } }), 'Removed'))];
    default:
      throw new RankscopeError(
        'unsupported',
        file,
        `its pre-tokenizer ${JSON.stringify(type)} is not known`,
        'Encode the text with another tool, and name the file of ids with --ids',
      );
  }
}

function byteLevel({ add_prefix_space: prefix, use_regex: words }: JsonObject): Step[] {
  return [
    // Absent settings count as they do in the reference implementation.
    ...(prefix === false ? [] : [anywhere((text) => [text.startsWith(' ') ? text : ` ${text}`])]),
    ...(words === false ? [] : [anywhere(splitAt(GPT2_WORDS))]),
    anywhere((text) => [inByteAlphabet(text)]),
  ];
}

function metaspace({ replacement, prepend_scheme: scheme, add_prefix_space: old, split }: JsonObject): Step[] {
  const mark = typeof replacement === 'string' && replacement ? replacement : '\u2581';
  const always = scheme === undefined ? old !== false : scheme === 'always';
  const marked: Step =
    ({ first }) =>
    (text) => {
      const spelled = text.replaceAll(' ', mark);
      return [(always || (scheme === 'first' && first)) && !spelled.startsWith(mark) ? mark + spelled : spelled];
    };
  return split === false ? [marked] : [marked, anywhere(splitAt(literal(mark), 'MergedWithNext'))];
}

function behaviorOf(file: string, { behavior = 'Isolated' }: JsonObject): SplitBehavior {
  const known = BEHAVIORS.get(behavior);
  if (!known) throw malformed(file, `a pre-tokenizer has the unknown behavior ${JSON.stringify(behavior)}`);
  return known;
}

/** The pattern that a step of a `tokenizer.json` names. @throws RankscopeError 'malformed' */
export function patternOf(file: string, { pattern }: JsonObject): RegExp {
  const { Regex: regex, String: text } = isObject(pattern) ? pattern : {};
  if (typeof text === 'string' && text.length <= MAX_PATTERN_LENGTH) return literal(text);
  if (typeof regex !== 'string' || regex.length > MAX_PATTERN_LENGTH) throw malformed(file, 'a pattern is not a text');
  try {
    const { pattern: translated } = new SplitPreTokenizer({
      type: 'Split',
      pattern: { Regex: regex },
      behavior: 'Isolated',
    });
    if (translated) return translated;
  } catch (error) {
    throw malformed(file, `the pattern ${regex.slice(0, 200)} could not be understood (${(error as Error).message})`);
  }
  throw malformed(file, `the pattern ${regex.slice(0, 200)} could not be understood`);
}

function literal(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&'), 'gu');
}

function malformed(file: string, found: string): RankscopeError {
  return new RankscopeError('malformed', file, found, 'Encode the text with another tool, and name its ids with --ids');
}
