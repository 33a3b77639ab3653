import type { Continuation, Generation, SmokeTest } from '../../src/model/generation.ts';
import { generationSentences, smokeTestSentence } from '../../src/model/generationText.ts';
import { element, fill } from './dom.ts';

/** How the written checkpoint continued a prompt beside the model it was made of. */
export function createSmokeTest(root: HTMLElement): { show(test: SmokeTest | null): void } {
  let drawn: SmokeTest | null = null;
  return {
    show(test) {
      root.hidden = test === null;
      // Rebuilding would open what the user closed.
      if (test === drawn) return;
      drawn = test;
      if (test) fill(root, 'generation' in test ? disclosure(test) : note(test));
    },
  };
}

function note(test: SmokeTest): HTMLElement {
  return element('p', { class: 'failed' in test ? 'notice' : 'faint', text: smokeTestSentence(test) ?? '' });
}

function disclosure({ generation, isAsked }: { generation: Generation; isAsked?: true }): HTMLElement {
  const { prompt, dense, variant, agreement, notes } = generation;
  const repeats = variant?.repetition.repeats === true;
  const given = prompt.text === null ? `${prompt.ids.length} tokens` : JSON.stringify(prompt.text);
  const [first = `The model continues ${given}.`, ...others] = generationSentences(generation);
  const sides = variant ? [dense, variant] : [dense];
  const isAlone = !variant || agreement?.firstDivergence === 0;
  const shared = isAlone ? 0 : commonStart(textOf(dense), textOf(variant));
  const details = element(
    'details',
    { class: `disclosure ${repeats ? 'warning' : ''}` },
    element('summary', { text: `${isAsked ? 'Continuation' : 'Smoke test'}: ${first}` }),
    ...[...others, ...notes].map((text) => element('p', { text })),
    element('p', { class: 'faint', text: `The most likely continuation of ${given}` }),
    element(
      'div',
      { class: 'continuations' },
      ...sides.map((side, k) => continuation(k === 0 ? 'Dense model' : variant!.name, side, shared)),
    ),
  );
  details.open = true;
  return details;
}

function continuation(name: string, side: Continuation, shared: number): HTMLElement {
  const text = textOf(side);
  return element(
    'section',
    { attributes: { 'aria-label': `Continuation by ${name}` } },
    element('h3', { text: name }),
    element(
      'p',
      { class: 'continuation' },
      element('span', { class: 'faint', text: text.slice(0, shared) }),
      element('span', { text: text.slice(shared) }),
    ),
    element('p', { class: 'faint', text: figures(side) }),
  );
}

function figures({ ids, ended, tokensPerSecond, repetition: { longest, distinct } }: Continuation): string {
  const shares = distinct.map((share) => (share === null ? '-' : `${Math.round(100 * share)} %`)).join(', ');
  return [
    `${ids.length} tokens${ended ? ', ended by itself' : ''}`,
    ...(tokensPerSecond === null ? [] : [`${tokensPerSecond.toPrecision(3)} tokens/s`]),
    `longest repeat ${longest?.tokens ?? 0}`,
    `distinct 1-, 2-, 3-grams ${shares}`,
  ].join('; ');
}

const textOf = ({ text, ids }: Continuation): string => text ?? ids.join(' ');

/** The length of the words that both texts begin with. */
function commonStart(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length++;
  if (length === one.length && length === other.length) return length;
  // Different words may begin with the same letters.
  while (length > 0 && !/\s/.test(one[length - 1]!)) length--;
  return length;
}
