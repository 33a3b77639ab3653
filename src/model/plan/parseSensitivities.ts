import { amount, type Found, fail, list, members, oneOf, text, wholeNumber } from '../checkedJson.ts';
import type { Divergence, GroupSensitivity, Sensitivities, Sensitivity } from './sensitivities.ts';

/** @throws RankscopeError 'malformed', naming the first member that violates media/schemas/plan.schema.json */
export function parseSensitivities(place: Found): Sensitivities {
  const found = members(place, ['inputs', 'matrices'], ['divergences', 'groups']);
  const inputs = members(found.inputs, ['kind', 'text', 'tokens']);
  const names = new Set<string>();
  return {
    inputs: {
      kind: oneOf(inputs.kind, ['full', 'diagonal']),
      text: inputs.text.value === null ? null : text(inputs.text),
      tokens: tokens(inputs.tokens),
    },
    ...(found.divergences && { divergences: divergences(found.divergences) }),
    matrices: list(found.matrices).map((item) => {
      const parsed = sensitivity(item);
      if (names.has(parsed.name)) fail(item, 'a name that no other matrix has');
      names.add(parsed.name);
      return parsed;
    }),
    ...(found.groups && { groups: list(found.groups).map(group) }),
  };
}

const tokens = (place: Found): number | null => (place.value === null ? null : wholeNumber(place, 0));

function divergences(place: Found): NonNullable<Sensitivities['divergences']> {
  const found = members(place, ['text', 'tokens', 'measured', 'filledIn', 'seconds']);
  return {
    text: text(found.text),
    tokens: wholeNumber(found.tokens, 1),
    measured: wholeNumber(found.measured, 0),
    filledIn: wholeNumber(found.filledIn, 0),
    seconds: amount(found.seconds),
  };
}

function sensitivity(place: Found): Sensitivity {
  const found = members(place, ['name', 'tokens', 'singularValues', 'rest'], ['divergence']);
  const singularValues = list(found.singularValues).map(amount);
  if (singularValues.some((value, k) => k > 0 && value > singularValues[k - 1]!))
    fail(found.singularValues, 'singular values in descending order');
  return {
    name: text(found.name),
    tokens: tokens(found.tokens),
    singularValues,
    rest: amount(found.rest),
    ...(found.divergence && { divergence: divergence(found.divergence) }),
  };
}

function group(place: Found): GroupSensitivity {
  const found = members(place, ['name', 'members', 'singularValues', 'rest']);
  return {
    name: text(found.name),
    members: list(found.members).map(text),
    singularValues: list(found.singularValues).map(amount),
    rest: amount(found.rest),
  };
}

function divergence(place: Found): Divergence {
  const found = members(place, ['value', 'rank', 'tail', 'from']);
  return {
    value: amount(found.value),
    rank: wholeNumber(found.rank, 1),
    tail: amount(found.tail),
    from: oneOf<Divergence['from']>(found.from, ['matrix', 'role', 'neighbours']),
  };
}
