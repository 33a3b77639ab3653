/** Parts of a path that say nothing about which of several stacks it is. */
const GENERIC = new Set(
  (
    'model module base_model transformer _orig_mod _fsdp_wrapped_module layers layer blocks block blk h resblocks ' +
    'unet'
  ).split(' '),
);

/** What a stack processes, by a word of its path. */
const MODALITIES: readonly (readonly [string, RegExp])[] = [
  ['vision', /^(?:v|vision|visual|image|img|siglip|pixel|video)$/],
  ['audio', /^(?:a|audio|speech|acoustic)$/],
  ['text', /^(?:text|txt|language|llm|lm)$/],
];

/**
 * A short and unique name for each stack of a checkpoint: what it processes (`vision`, `audio`, `text`) where that
 * tells it from the others, else the words of its path that do (`encoder`, `down_blocks`, `stages.2`). Empty for the
 * only stack.
 * @param stacks their paths, with all numbers filled in.
 */
export function stackLabels(stacks: ReadonlySet<string>): ReadonlyMap<string, string> {
  if (stacks.size < 2) return new Map([...stacks].map((stack) => [stack, '']));
  const choices = choicesFor(stacks);
  const level = new Map([...stacks].map((stack) => [stack, 0]));
  for (;;) {
    const labels = new Map([...stacks].map((stack) => [stack, choices.get(stack)![level.get(stack)!]!]));
    const counts = new Map<string, number>();
    for (const label of labels.values()) counts.set(label, (counts.get(label) ?? 0) + 1);
    const shared = [...stacks].filter(
      (stack) => counts.get(labels.get(stack)!)! > 1 && level.get(stack)! < choices.get(stack)!.length - 1,
    );
    if (shared.length === 0) return labels;
    for (const stack of shared) level.set(stack, level.get(stack)! + 1);
  }
}

/** Labels for each stack, the shortest first; the last is its whole path. */
function choicesFor(stacks: ReadonlySet<string>): ReadonlyMap<string, readonly string[]> {
  const tokens = withoutShared(new Map([...stacks].map((stack) => [stack, tokensOf(stack)])));
  const modalities = modalitiesOf(tokens);
  // Where all of vision is in `visual`, its parts are `vision` and `vision.merger_list`.
  const holders = new Map<string, Set<string>>();
  for (const [stack, modality] of modalities) {
    const known = holders.get(modality) ?? new Set();
    holders.set(modality, known.add(tokens.get(stack)![0] ?? ''));
  }
  return new Map(
    [...tokens].map(([stack, own]) => {
      const modality = modalities.get(stack);
      const together =
        modality !== undefined && holders.get(modality)?.size === 1 && modalityOf(own[0] ?? '') === modality;
      const words = together ? [modality, ...own.slice(1)] : own;
      const [first = stack, last = stack] = [words[0], words.at(-1)];
      const short = /^te\d?(?=_)/.exec(stack)?.[0] ?? (together ? undefined : modality);
      const choices = [short, first, first === last ? first : `${first}.${last}`, words.join('.') || stack, stack];
      return [stack, choices.filter((label) => label !== undefined)];
    }),
  );
}

/** What each stack processes, unless their paths tell only one of vision and audio. */
function modalitiesOf(tokens: ReadonlyMap<string, readonly string[]>): ReadonlyMap<string, string> {
  const found = new Map([...tokens.keys()].map((stack) => [stack, modalityOf(stack)]));
  const known = new Set(found.values());
  const modal = known.has('vision') || known.has('audio');
  // The language model of a multimodal network is often just `model.layers`.
  if (modal) for (const [stack, own] of tokens) if (own.length === 0) found.set(stack, found.get(stack) ?? 'text');
  const all = [...found].filter((entry): entry is [string, string] => entry[1] !== undefined);
  const several = new Set(all.map(([, modality]) => modality));
  return new Map(several.size > 1 || several.has('text') ? all : []);
}

/** The parts that say something, a number joined to the word before it: `encoder`, `stages.2`. */
function tokensOf(stack: string): string[] {
  const tokens: string[] = [];
  const flat = stack.replace(/^(?:unet|transformer)_/, '');
  for (const part of flat.split('.')) {
    if (/^\d+$/.test(part) && tokens.length > 0) tokens[tokens.length - 1] += `.${part}`;
    else tokens.push(part);
  }
  return tokens.filter((token) => !GENERIC.has(token));
}

/** Without the leading words that all stacks share. */
function withoutShared(tokens: ReadonlyMap<string, readonly string[]>): ReadonlyMap<string, readonly string[]> {
  const all = [...tokens.values()];
  let shared = 0;
  while (all.every((own) => own.length > shared + 1 && own[shared] === all[0]![shared])) shared++;
  return shared === 0 ? tokens : new Map([...tokens].map(([stack, own]) => [stack, own.slice(shared)]));
}

function modalityOf(stack: string): string | undefined {
  const words = stack.split(/[._]/);
  return MODALITIES.find(([, word]) => words.some((each) => word.test(each)))?.[0];
}

/** Words of labels in the order in which data flows through their stacks. */
const FLOW: readonly RegExp[] = [
  /^te\d?$/,
  /vision|image/,
  /audio|speech/,
  /down|input|double|encoder/,
  /mid/,
  /up_|output|single|decoder/,
];

/** Orders the labels of stacks along the flow of data, as far as their words tell it, else by name and number. */
export function compareStacks(a: string, b: string): number {
  return rankOf(a) - rankOf(b) || natural.compare(a, b);
}

const natural = new Intl.Collator('en', { numeric: true });

function rankOf(label: string): number {
  const at = FLOW.findIndex((word) => word.test(label));
  if (at >= 0) return at;
  return label === 'text' ? FLOW.length : 3.5;
}
