import { type Cut, GPT2_WORDS, inTurn, splitAt } from './split.ts';

/*
 * What llama.cpp calls `tokenizer.ggml.pre`: how a byte-level vocabulary cuts a text into words. The patterns are those
 * of the models' own tokenizer.json. JavaScript's `\s` is not Unicode's white space, and the case of contractions is
 * spelled out as the reference's engine folds it: U+017F is an s.
 */

const S = String.raw`\p{White_Space}`;
const NOT_S = String.raw`\P{White_Space}`;
const CONTRACTIONS = "'(?:[sS\u017F]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])";
const REST = String.raw`${S}*[\r\n]+|${S}+(?!${NOT_S})|${S}+`;

/** The pattern of tiktoken's cl100k and its relatives, with the number of digits that stay together. */
const cl100k = (digits: string) =>
  new RegExp(String.raw`${CONTRACTIONS}|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?[^${S}\p{L}\p{N}]+[\r\n]*|${REST}`, 'gu');

/** The pattern of tiktoken's o200k, which cuts before capitals. */
const o200k = (digits: string, contractions: string) => {
  const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
  const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
  const lead = String.raw`[^\r\n\p{L}\p{N}]?`;
  const words = `${lead}${upper}*${lower}+${contractions}|${lead}${upper}+${lower}*${contractions}`;
  return new RegExp(String.raw`${words}|${digits}| ?[^${S}\p{L}\p{N}]+[\r\n/]*|${REST}`, 'gu');
};

const DEEPSEEK_WORDS = new RegExp(
  String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${'`'}{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|${REST}`,
  'gu',
);
const QWEN35_WORDS = new RegExp(
  String.raw`${CONTRACTIONS}|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^${S}\p{L}\p{M}\p{N}]+[\r\n]*|${REST}`,
  'gu',
);
const BLOOM_WORDS = new RegExp(` ?[^(|.,!?…。，、।۔،)${S}]+`, 'gu');
const DIGIT = /\p{N}/gu;

interface PreKind {
  readonly patterns: readonly RegExp[];
  /** Whether a word that is a token stays whole, whatever the merges say. */
  readonly ignoreMerges?: boolean;
  /** Whether the model expects a start token unless its metadata say otherwise. */
  readonly addsStart?: boolean;
}

const gpt2: PreKind = { patterns: [GPT2_WORDS] };
const digitsApart: PreKind = { patterns: [DIGIT, GPT2_WORDS] };
const llama3: PreKind = { patterns: [cl100k(String.raw`\p{N}{1,3}`)], ignoreMerges: true, addsStart: true };
const threeDigits: PreKind = { patterns: llama3.patterns };
const qwen2: PreKind = { patterns: [cl100k(String.raw`\p{N}`)] };
const bloom: PreKind = { patterns: [BLOOM_WORDS] };
const gpt4o: PreKind = { patterns: [o200k(String.raw`\p{N}{1,3}`, `(?:${CONTRACTIONS})?`)] };
const deepseek3: PreKind = { patterns: [/\p{N}{1,3}/gu, /[一-龥\u3040-ゟ゠-ヿ]+/gu, DEEPSEEK_WORDS] };
const punctuation = /[\p{P}$+<=>^~|`]+/gu;

/** By its name in the metadata. */
const PRE_KINDS: ReadonlyMap<string, PreKind> = new Map([
  ['default', { patterns: [punctuation, GPT2_WORDS, /\p{N}+/gu, /[0-9][0-9][0-9]/gu] }],
  ...each('gpt-2 gpt2 phi-2 mpt olmo jais trillion granite-docling exaone4 jina-es jina-de gigachat', gpt2),
  ...each('jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert roberta-bpe', gpt2),
  ...each('smollm starcoder refact command-r codeshell exaone minerva-7b mellum2', digitsApart),
  ...each('llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2', llama3),
  ...each('dbrx smaug-bpe glm4 chatglm-bpe', threeDigits),
  ...each('qwen2 stablelm2 deepseek-r1-qwen megrez hunyuan solar-open grok-2 kormo', qwen2),
  ...each('qwen35', { patterns: [QWEN35_WORDS] }),
  ...each('gpt-4o llama4 kanana2', gpt4o),
  ['tekken', { patterns: [o200k(String.raw`\p{N}`, '')], ignoreMerges: true, addsStart: true }],
  ...each('deepseek-v3 hunyuan-dense', deepseek3),
  [
    'deepseek-coder',
    {
      patterns: [
        /[\r\n]/gu,
        /\p{White_Space}?\p{L}+/gu,
        /\p{White_Space}?\p{P}+/gu,
        /[一-龥\u0800-一가-\uD7FF]+/gu,
        DIGIT,
      ],
    },
  ],
  ['falcon', { patterns: [punctuation, GPT2_WORDS, /[0-9][0-9][0-9]/gu] }],
  ...each('bloom poro-chat gpt3-finnish', bloom),
  ['viking', { patterns: [BLOOM_WORDS, DIGIT] }],
] as const);

function each(names: string, kind: PreKind): (readonly [string, PreKind])[] {
  return names.split(' ').map((name) => [name, kind] as const);
}

export interface WordCut extends Omit<PreKind, 'patterns'> {
  readonly cut: Cut;
}

/** How the vocabulary of this kind cuts a text; undefined for an unknown kind. */
export function wordCut(name: string): WordCut | undefined {
  const kind = PRE_KINDS.get(name);
  return kind && { ...kind, cut: inTurn(kind.patterns.map((pattern) => splitAt(pattern))) };
}
