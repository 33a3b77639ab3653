/** Words that wrap a whole network and tell nothing about a tensor's place in it. */
const WRAPPERS = new Set(
  (
    'module _orig_mod base_model model transformer bert roberta distilbert electra deberta albert vit deit gpt_neox opt ' +
    'language_model backbone _fsdp_wrapped_module student'
  ).split(' '),
);

/** A name taken apart: `path` has every number written `#`; `numbers` are those, in order. */
export interface NamePath {
  readonly path: string;
  readonly numbers: readonly number[];
}

const NUMBER = /(^|[./:]|[A-Za-z]_)(\d{1,9})(?=$|[./:])/g;

/**
 * `model.layers.12.mlp.up_proj.weight` -> `model.layers.#.mlp.up_proj.weight`, [12]. A number counts where it is a whole part of
 * the path or ends a part after an underscore (`encoder_layer_3`); the digits of `conv1` are part of the word.
 * A name that has a `#` of its own is not taken apart.
 */
export function takeApart(name: string): NamePath {
  const numbers: number[] = [];
  if (name.includes('#')) return { path: name, numbers };
  const path = name.replace(NUMBER, (_, before: string, digits: string) => {
    numbers.push(Number(digits));
    return `${before}#`;
  });
  return { path, numbers };
}

/** The path in dots, without wrappers in front. */
export function unwrap(path: string): string {
  const parts = path.replace(/[/:]/g, '.').split('.');
  let first = 0;
  while (first < parts.length - 2 && WRAPPERS.has(parts[first] ?? '')) first++;
  // `lm_head.weight` keeps its only word; `model.embed` as a bare parameter loses its wrapper like all others.
  if (first === parts.length - 2 && WRAPPERS.has(parts[first] ?? '') && !/^(weight|bias)$/.test(parts[first + 1] ?? ''))
    first++;
  return parts.slice(first).join('.');
}

/** The path without the word for the parameter itself. */
export function withoutParameter(path: string): string {
  return path.replace(/\.(weight|kernel|w)$/, '');
}

/** `path` with its k-th `#` written as numbers[k]. */
export function fillIn(path: string, numbers: readonly number[]): string {
  let next = 0;
  return path.replace(/#/g, () => String(numbers[next++] ?? '#'));
}
