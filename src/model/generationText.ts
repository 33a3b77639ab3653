import type { Continuation, Generation, SmokeTest } from './generation.ts';

/** What became of the test of a written file: its most important sentence. */
export function smokeTestSentence(test: SmokeTest): string | undefined {
  if ('leftOut' in test) return `The written file was not tried: ${test.leftOut}`;
  if ('failed' in test) return `The written file and the model could not continue a prompt (${test.failed}).`;
  return generationSentences(test.generation)[0];
}

/** What a generation shows, in sentences for people; the most important first. */
export function generationSentences({ dense, variant, agreement }: Generation): string[] {
  if (!variant || !agreement) return dense.repetition.repeats ? [`The model repeats itself${figures(dense)}.`] : [];
  const { firstDivergence, equalShare, sameChoiceShare } = agreement;
  const agree =
    firstDivergence === null
      ? `Both continue the prompt with the same ${tokens(dense.ids.length)}.`
      : `The texts part ${firstDivergence === 0 ? 'at the first token' : `after ${tokens(firstDivergence)}`}: ${percent(equalShare)} of the positions have the same token, ` +
        `and with the dense text before it the variant chooses the same next token for ${percent(sameChoiceShare)}.`;
  return [...repetitions(dense, variant), agree];
}

function repetitions(dense: Continuation, variant: Continuation): string[] {
  const [one, other] = [dense.repetition.repeats, variant.repetition.repeats];
  if (one && other)
    return [`The variant repeats itself${figures(variant)}, and so does the dense model${figures(dense)}.`];
  if (other) return [`The variant repeats itself${figures(variant)}; the dense model does not.`];
  return one ? [`The dense model repeats itself${figures(dense)}; the variant does not.`] : [];
}

function figures({ repetition: { loop, longest, distinct } }: Continuation): string {
  const parts = [
    ...(loop
      ? [`${loop.tokens === 1 ? 'one token' : `the same ${loop.tokens} tokens`} ${loop.times} times in a row`]
      : []),
    ...(distinct[2] === null ? [] : [`${percent(distinct[2])} of its runs of 3 tokens are distinct`]),
    ...(longest ? [`the longest repeat has ${tokens(longest.tokens)}`] : []),
  ];
  return parts.length > 0 ? ` (${parts.join(', ')})` : '';
}

function tokens(count: number): string {
  return `${count} ${count === 1 ? 'token' : 'tokens'}`;
}

/** Rounded down, because 100 % would say that all are equal. */
function percent(share: number): string {
  return `${Math.floor(1000 * share) / 10} %`;
}
