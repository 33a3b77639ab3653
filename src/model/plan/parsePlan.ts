import { RankscopeError } from '../../base/errors.ts';
import {
  amount,
  dictionary,
  type Found,
  fail,
  list,
  members,
  oneOf,
  parseJson,
  text,
  wholeNumber,
} from '../checkedJson.ts';
import { DENSE_ROLES, type DenseRole } from '../names/roles.ts';
import { keptShares } from './keptShares.ts';
import { parseSensitivities } from './parseSensitivities.ts';
import {
  type Budget,
  type Plan,
  type PlannedMatrix,
  type PlanRequest,
  type PlanRule,
  type PlanTotals,
  type Share,
  SPREADS,
  type Spread,
} from './plan.ts';
import { checkRequest } from './planRequest.ts';

/** Largest plan file accepted, in bytes and in characters: 100,000 matrices take 20 MB. */
export const MAX_PLAN_SIZE = 64 * 1024 * 1024;

/**
 * Reads a plan file of unknown origin.
 * @throws RankscopeError 'malformed', naming the first member that violates media/schemas/plan.schema.json.
 */
export function parsePlan(content: string, path: string): Plan {
  if (content.length > MAX_PLAN_SIZE)
    throw new RankscopeError('too-large', path, `${content.length} characters`, `A plan has at most ${MAX_PLAN_SIZE}`);
  const plan = members(
    parseJson(content, path, 'Write the plan again'),
    ['format', 'checkpoint', 'request', 'matrices', 'totals'],
    ['$schema', 'unmet', 'notes', 'sensitivities'],
  );
  oneOf(plan.format, ['rankscope.plan/1']);
  const checkpoint = members(plan.checkpoint, ['path', 'parameters', 'bytes']);
  const parameters = wholeNumber(checkpoint.parameters, 0);
  return {
    format: 'rankscope.plan/1',
    checkpoint: {
      path: text(checkpoint.path),
      parameters,
      bytes: wholeNumber(checkpoint.bytes, 0),
    },
    request: request(plan.request),
    matrices: matrices(plan.matrices),
    totals: totals(plan.totals, parameters),
    ...(plan.sensitivities && { sensitivities: parseSensitivities(plan.sensitivities) }),
    ...(plan.unmet && { unmet: text(plan.unmet) }),
    ...(plan.notes && { notes: list(plan.notes).map(text) }),
  };
}

function request(place: Found): PlanRequest {
  const found = members(
    place,
    ['budget', 'spread', 'multiple', 'exclude', 'overrides', 'factors'],
    ['include', 'floor', 'share', 'rules'],
  );
  const budget = members(found.budget, ['kind', 'value']);
  const result: PlanRequest = {
    budget: {
      kind: oneOf<Budget['kind']>(budget.kind, [
        'keep',
        'energy',
        'error',
        'rank',
        'compressionRatio',
        'bytes',
        'multiplyAdds',
      ]),
      value: amount(budget.value),
    },
    spread: oneOf<Spread>(found.spread, SPREADS),
    multiple: wholeNumber(found.multiple, 1),
    ...(found.floor && { floor: share(found.floor) }),
    exclude: list(found.exclude).map(text),
    ...(found.include && { include: list(found.include).map(text) }),
    overrides: Object.fromEntries(
      dictionary(found.overrides).map(([name, rank]) => [name, rank.value === null ? null : wholeNumber(rank, 1)]),
    ),
    ...(found.rules && { rules: list(found.rules).map(rule) }),
    factors: oneOf<2 | 3>(found.factors, [2, 3]),
    ...(found.share && { share: shareOf(found.share) }),
  };
  try {
    checkRequest(result);
  } catch (error) {
    fail(found.budget, error instanceof RankscopeError ? `${error.subject} in its range: ${error.remedy}` : 'a budget');
  }
  return result;
}

function rule(place: Found): PlanRule {
  const { match, rank, keep, energy, floor, multiple } = members(
    place,
    ['match'],
    ['rank', 'keep', 'energy', 'floor', 'multiple'],
  );
  return {
    match: text(match),
    ...(rank && { rank: rank.value === null ? null : wholeNumber(rank, 1) }),
    ...(keep && { keep: share(keep) }),
    ...(energy && { energy: share(energy) }),
    ...(floor && { floor: share(floor) }),
    ...(multiple && { multiple: wholeNumber(multiple, 1) }),
  };
}

function shareOf(place: Found): Share {
  const { inputs, layers } = members(place, ['inputs', 'layers']);
  return { inputs: oneOf<boolean>(inputs, [true, false]), layers: wholeNumber(layers, 1) };
}

function share(place: Found): number {
  const value = amount(place);
  return value <= 1 ? value : fail(place, 'a share from 0 to 1');
}

function matrices(place: Found): PlannedMatrix[] {
  const names = new Set<string>();
  const groups = new Map<string, string>();
  return list(place).map((item) => {
    const found = members(
      item,
      ['name', 'shape', 'rank', 'parametersBefore', 'parametersAfter', 'error'],
      ['reason', 'kinds', 'shared'],
    );
    const name = text(found.name);
    if (names.has(name)) fail(found.name, 'a name that no other matrix has');
    names.add(name);
    const sizes = list(found.shape).map((size) => wholeNumber(size, 1));
    const [m, n] = sizes;
    if (m === undefined || n === undefined || sizes.length !== 2) return fail(found.shape, 'two sizes, [out, in]');
    // A shared factor may have more rows than one of its matrices.
    const rank = found.rank.value === null ? null : wholeNumber(found.rank, 1, found.shared ? n : Math.min(m, n));
    const shared = found.shared && text(found.shared);
    if (shared !== undefined) {
      const factor = `${rank} x ${n}`;
      if (rank === null || (groups.get(shared) ?? factor) !== factor)
        fail(found.shared!, 'a group whose matrices have one rank and one number of inputs');
      groups.set(shared, factor);
    }
    return {
      name,
      shape: [m, n] as const,
      rank,
      ...(shared !== undefined && { shared }),
      ...(found.reason && { reason: text(found.reason) }),
      ...(found.kinds && { kinds: list(found.kinds).map((kind) => oneOf<DenseRole>(kind, DENSE_ROLES)) }),
      parametersBefore: wholeNumber(found.parametersBefore, 0),
      parametersAfter: wholeNumber(found.parametersAfter, 0),
      error: amount(found.error),
    };
  });
}

/** The shares are computed where they are missing: plans of older versions lack them. */
function totals(place: Found, parametersOfModel: number): PlanTotals {
  const found = members(
    place,
    ['parametersBefore', 'parametersAfter', 'bytesBefore', 'bytesAfter', 'error'],
    ['keptShare', 'keptShareOfModel', 'bytesOfModel', 'bytesOfModelBefore', 'multiplyAddsBefore', 'multiplyAddsAfter'],
  );
  const parameters = {
    parametersBefore: wholeNumber(found.parametersBefore, 0),
    parametersAfter: wholeNumber(found.parametersAfter, 0),
  };
  return {
    ...parameters,
    bytesBefore: amount(found.bytesBefore),
    bytesAfter: amount(found.bytesAfter),
    error: amount(found.error),
    ...keptShares(parameters, parametersOfModel),
    ...(found.keptShare && { keptShare: amount(found.keptShare) }),
    ...(found.keptShareOfModel && { keptShareOfModel: amount(found.keptShareOfModel) }),
    ...(found.bytesOfModel && { bytesOfModel: amount(found.bytesOfModel) }),
    ...(found.bytesOfModelBefore && { bytesOfModelBefore: amount(found.bytesOfModelBefore) }),
    ...(found.multiplyAddsBefore && { multiplyAddsBefore: amount(found.multiplyAddsBefore) }),
    ...(found.multiplyAddsAfter && { multiplyAddsAfter: amount(found.multiplyAddsAfter) }),
  };
}
