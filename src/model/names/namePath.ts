/** Words that wrap a whole network and say nothing about a tensor's place in it. */
const WRAPPERS = new Set(
  (
    'module _orig_mod base_model model transformer bert roberta distilbert electra deberta albert vit deit gpt_neox opt ' +
    'language_model backbone _fsdp_wrapped_module student'
  ).split(' '),
);

/** A parsed name: `path` has `#` for every number; `numbers` lists them in order. */
export interface NamePath {
  readonly path: string;
  readonly numbers: readonly number[];
}

const UNDERSCORE = 95;
const LETTER_K = 107;
const LETTER_R = 114;
const isDigit = (code: number) => code >= 48 && code <= 57;
/** The dot, the slash, the colon, and NaN at either end of the name. */
const isEdge = (code: number) => code === 46 || code === 47 || code === 58 || Number.isNaN(code);
const STACK_WORD = /(layers?|blocks?|stages?|cells?)_$/;
/** Longest word for a stack with what is around it. */
const LONGEST_WORD = 12;
/** Keras names a block and the layers in it in one word: `block2_conv1`, `conv3_block1_2_conv`. */
const KERAS_BLOCK = /(^|[/_])block$/;

/**
 * `model.layers.12.mlp.up_proj.weight` -> `model.layers.#.mlp.up_proj.weight`, [12]. A number counts if it is a whole
 * part of the path or follows a word for a stack within a part (`encoder_layer_3`, `double_blocks_3_img_attn_qkv`,
 * `block2_conv1`, `denselayer3`); the digits of `conv1` and `wi_0` are part of the word. A name that contains `#` is
 * not parsed. Not a regular expression, which took four times as long.
 */
export function takeApart(name: string): NamePath {
  const numbers: number[] = [];
  if (name.includes('#')) return { path: name, numbers };
  let path = '';
  let copied = 0;
  for (let at = 0; at < name.length; at++) {
    if (!isDigit(name.charCodeAt(at))) continue;
    const begin = at;
    while (isDigit(name.charCodeAt(at + 1))) at++;
    const after = name.charCodeAt(at + 1);
    if ((!isEdge(after) && after !== UNDERSCORE) || at - begin > 8) continue;
    if (!isEdge(after) || !isEdge(name.charCodeAt(begin - 1))) {
      if (!endsInStackWord(name, begin, after)) continue;
    }
    path += `${name.slice(copied, begin)}#`;
    copied = at + 1;
    numbers.push(Number(name.slice(begin, copied)));
  }
  return { path: path + name.slice(copied), numbers };
}

function endsInStackWord(name: string, begin: number, after: number): boolean {
  const before = name.charCodeAt(begin - 1);
  if (before !== UNDERSCORE && before !== LETTER_K && before !== LETTER_R) return false;
  // Only the end is searched: a name may be long and have a number every few letters.
  const end = name.slice(Math.max(0, begin - LONGEST_WORD), begin);
  if (before === UNDERSCORE) return STACK_WORD.test(end);
  if (after === UNDERSCORE) return before === LETTER_K && KERAS_BLOCK.test(end);
  return before === LETTER_R && end.endsWith('denselayer');
}

/** The path with its parts separated by dots, whatever the file uses. */
export function dotted(path: string): string {
  return path.replace(/[/:]/g, '.');
}

/** The path in dots, without wrappers in front. */
export function unwrap(path: string): string {
  const parts = dotted(path).split('.');
  let first = 0;
  while (first < parts.length - 2 && WRAPPERS.has(parts[first] ?? '')) first++;
  // `lm_head.weight` keeps its only word; `model.embed` as a bare parameter loses its wrapper like the others.
  if (first === parts.length - 2 && WRAPPERS.has(parts[first] ?? '') && !/^(weight|bias)$/.test(parts[first + 1] ?? ''))
    first++;
  return parts.slice(first).join('.');
}

/** The path without the word for the parameter itself. */
export function withoutParameter(path: string): string {
  return path.replace(/\.(weight|kernel|w)$/, '');
}

/** `path` with the next of `numbers` in place of each `#`. */
export function fillIn(path: string, numbers: readonly number[]): string {
  let next = 0;
  return path.replace(/#/g, () => `${numbers[next++] ?? '#'}`);
}
