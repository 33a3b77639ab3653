import { RankscopeError } from '../base/errors.ts';
import { amount, dictionary, type Found, fail, list, oneOf, parseJson, text, wholeNumber } from './checkedJson.ts';
import type { Evaluation } from './evaluation.ts';

/** Largest file with evaluations accepted, in bytes and in characters: one of a hundred variants takes 60 KB. */
export const MAX_EVALUATION_SIZE = 16 * 1024 * 1024;

/**
 * Reads a file of unknown origin with one evaluation, as the command line and the script for transformers write it, or
 * a list of them, as the evaluation page saves it. Members that are not known are kept.
 * @throws RankscopeError 'malformed', naming the first member that is not as `Evaluation` says; 'too-large'
 */
export function parseEvaluations(content: string, path: string): readonly [Evaluation, ...Evaluation[]] {
  if (content.length > MAX_EVALUATION_SIZE)
    throw new RankscopeError(
      'too-large',
      path,
      `${content.length} characters`,
      `A file with evaluations has at most ${MAX_EVALUATION_SIZE}`,
    );
  const whole = parseJson(content, path, 'Measure again, or write the JSON again');
  const [first, ...others] = Array.isArray(whole.value) ? list(whole) : [whole];
  if (!first) return fail(whole, 'at least one evaluation');
  return [evaluation(first), ...others.map(evaluation)];
}

function evaluation(place: Found): Evaluation {
  const {
    format,
    source,
    checkpoint,
    text: facts,
    dense,
    variants,
    engine,
    seconds,
    notes,
  } = having(place, [...['format', 'source', 'checkpoint', 'text', 'dense', 'variants', 'engine', 'seconds', 'notes']]);
  oneOf(format!, ['rankscope.evaluation/1']);
  oneOf(source!, ['rankscope', 'transformers']);
  const { path, format: stored, parameters, bytes } = having(checkpoint!, ['path', 'format', 'parameters', 'bytes']);
  for (const one of [path!, stored!]) text(one);
  for (const count of [parameters!, bytes!]) wholeNumber(count, 0);
  textFacts(facts!);
  score(dense!);
  for (const one of list(variants!)) variant(one);
  const { name, device, threads, reason } = having(engine!, ['name', 'device', 'threads', 'reason']);
  for (const one of [name!, device!, reason!]) text(one);
  wholeNumber(threads!, 0);
  amount(seconds!);
  list(notes!).forEach(text);
  return place.value as Evaluation;
}

function textFacts(place: Found): void {
  const facts = having(place, ['name', 'tokens', 'windows', 'context', 'scored', 'dropped', 'startToken', 'tokenizer']);
  for (const one of [facts.name!, facts.tokenizer!]) text(one);
  for (const count of [facts.tokens!, facts.dropped!]) wholeNumber(count, 0);
  for (const count of [facts.windows!, facts.context!, facts.scored!]) wholeNumber(count, 1);
  if (facts.startToken!.value !== null) wholeNumber(facts.startToken!, 0);
}

function score(place: Found): void {
  const { perplexity, loss, lossError } = having(place, ['perplexity', 'loss', 'lossError']);
  for (const one of [perplexity!, loss!, lossError!]) amount(one);
}

function variant(place: Found): void {
  score(place);
  const found = having(place, [
    ...['name', 'kind', 'rank', 'size', 'predictedError', 'difference', 'differenceError', 'divergence', 'sameTop'],
  ]);
  text(found.name!);
  oneOf(found.kind!, ['rank', 'plan', 'file']);
  if (found.rank!.value !== null) wholeNumber(found.rank!, 1);
  if (found.predictedError!.value !== null) amount(found.predictedError!);
  finite(found.difference!);
  for (const one of [found.differenceError!, found.sameTop!]) amount(one);
  const divergence = having(found.divergence!, ['mean', 'median', 'q90', 'q99', 'max']);
  // Rounding may leave the divergence of two equal distributions a little below zero.
  for (const one of Object.values(divergence)) finite(one);
  const size = having(found.size!, ['cut', 'parametersOfModel', 'keptShareOfModel']);
  wholeNumber(size.parametersOfModel!, 0);
  amount(size.keptShareOfModel!);
  if (size.cut!.value === null) return;
  const cut = having(size.cut!, ['parametersBefore', 'parametersAfter', 'keptShare']);
  for (const count of [cut.parametersBefore!, cut.parametersAfter!]) wholeNumber(count, 0);
  amount(cut.keptShare!);
}

/** The members of an object, which must have all of `required`. */
function having(place: Found, required: readonly string[]): Record<string, Found> {
  const found = new Map(dictionary(place));
  for (const name of required) if (!found.has(name)) fail(place, `a member '${name}'`);
  return Object.fromEntries(required.map((name) => [name, found.get(name)!]));
}

function finite(place: Found): void {
  if (typeof place.value !== 'number' || !Number.isFinite(place.value)) fail(place, 'a number');
}
