import type { Continuation, Generation } from '../model/generation.ts';
import { generationSentences } from '../model/generationText.ts';
import { digits, percent, table } from './table.ts';

/** Columns of each text, with two between them. */
const WIDTH = 49;

/** A generation as a person reads it: the texts beside each other, figures, and what they mean. */
export function* generationReport({ prompt, tokenizer, ...generation }: Generation): Generator<string> {
  const { dense, variant, engine, notes } = generation;
  yield `Prompt: ${prompt.text === null ? '' : `${JSON.stringify(prompt.text)}, `}${prompt.ids.length} tokens (${tokenizer})\n\n`;
  yield* columns(variant ? [dense, variant] : [dense], ['dense', ...(variant ? [variant.name] : [])]);
  yield '\n';
  yield* table(
    ['', 'tokens', 'tokens/s', 'longest repeat', 'distinct 1-', '2-', '3-grams'],
    [['dense', ...figures(dense)], ...(variant ? [[variant.name, ...figures(variant)]] : [])],
  );
  yield `\n${engine.device}\n`;
  const sentences = generationSentences({ prompt, tokenizer, ...generation });
  for (const sentence of [...sentences, ...notes]) yield `${sentence}\n`;
}

function figures({ ids, ended, repetition: { longest, distinct }, tokensPerSecond }: Continuation): string[] {
  return [
    `${ids.length}${ended ? ', ended' : ''}`,
    digits(tokensPerSecond),
    longest ? String(longest.tokens) : '-',
    ...distinct.map((share) => (share === null ? '-' : percent(share))),
  ];
}

function* columns(continuations: readonly Continuation[], names: readonly string[]): Generator<string> {
  const texts = continuations.map(({ text, ids }) => wrapped(text ?? ids.join(' ')));
  const parts = texts.map((lines, k) => [names[k]!, '-'.repeat(names[k]!.length), ...lines]);
  const height = Math.max(...parts.map((lines) => lines.length));
  for (let row = 0; row < height; row++)
    yield `${parts
      .map((lines) => (lines[row] ?? '').padEnd(WIDTH))
      .join('  ')
      .trimEnd()}\n`;
}

/** Lines of at most `WIDTH` characters, broken at spaces where there are some. A text may not control the terminal. */
function wrapped(text: string): string[] {
  return text.split(/\r\n|\n|\r/).flatMap((line) => {
    const lines: string[] = [];
    let rest = line.replaceAll('\t', '    ').replaceAll(/\p{Cc}|\p{Cf}/gu, '\uFFFD');
    while (rest.length > WIDTH) {
      const space = rest.lastIndexOf(' ', WIDTH);
      const end = space > WIDTH / 2 ? space : WIDTH;
      lines.push(rest.slice(0, end));
      rest = rest.slice(end).trimStart();
    }
    return [...lines, rest];
  });
}
