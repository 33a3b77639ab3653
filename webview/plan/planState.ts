import type { DenseRole } from '../../src/model/names/roles.ts';
import type { Budget, PlanRequest, Spread } from '../../src/model/plan/plan.ts';
import { SHARED_LAYERS } from '../../src/model/plan/planRequest.ts';
import { readRule, ruleText } from '../../src/model/plan/ruleText.ts';
import type { PlanOverview } from '../../src/protocol/page.ts';

/** How a kind of budget is displayed and edited; the displayed value is `scale` times the value in the request. */
export interface BudgetKind {
  readonly id: Budget['kind'];
  readonly label: string;
  readonly explanation: string;
  readonly unit: string;
  readonly scale: number;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  /** The value in the request when this kind is first selected. */
  readonly first: number;
}

/** What the whole model takes with nothing cut: the ends of budgets for it. */
export interface WholeModel {
  readonly bytes: number;
  readonly multiplyAdds: number;
}

const UNITS = [
  { size: 1e9, bytes: 'GB', count: 'G' },
  { size: 1e6, bytes: 'MB', count: 'M' },
  { size: 1e3, bytes: 'KB', count: 'K' },
] as const;
const SMALLEST = { size: 1, bytes: 'B', count: '' } as const;

/** The whole model of a plan; where it is not known yet, one for which the current budget is in range. */
export function wholeModel({ budget }: PlanRequest, plan: PlanOverview | null): WholeModel | undefined {
  const { bytesOfModelBefore: bytes, multiplyAddsBefore: multiplyAdds } = plan?.totals ?? {};
  const known = bytes !== undefined && multiplyAdds !== undefined;
  if (known)
    return {
      bytes: Math.max(bytes, of(budget, 'bytes')),
      multiplyAdds: Math.max(multiplyAdds, of(budget, 'multiplyAdds')),
    };
  return budget.kind === 'bytes' || budget.kind === 'multiplyAdds'
    ? { bytes: budget.value, multiplyAdds: budget.value }
    : undefined;
}

const of = (budget: Budget, kind: Budget['kind']) => (budget.kind === kind ? budget.value : 0);

/** The kinds of budgets of a model; those of a size for all of it are left out where that is unknown. */
export function budgetKinds(whole: WholeModel | undefined): readonly BudgetKind[] {
  if (!whole || whole.bytes < 1 || whole.multiplyAdds < 1) return BUDGETS;
  const bytes = ofModel(whole.bytes);
  const multiplyAdds = ofModel(whole.multiplyAdds);
  return [
    ...BUDGETS.slice(0, 1),
    {
      id: 'bytes',
      label: 'Size of the file',
      explanation: 'The most bytes that a file of the whole model may have, in the types of its source.',
      ...bytes,
      unit: bytes.unit.bytes,
    },
    {
      id: 'multiplyAdds',
      label: 'Multiply-adds',
      explanation: 'The most multiply-adds of all matrices of the whole model for one token.',
      ...multiplyAdds,
      unit: multiplyAdds.unit.count,
    },
    ...BUDGETS.slice(1),
  ];
}

function ofModel(whole: number) {
  const unit = UNITS.find(({ size }) => whole >= size) ?? SMALLEST;
  const max = Math.ceil((100 * whole) / unit.size) / 100;
  return { unit, scale: 1 / unit.size, min: 0.01, max, step: 0.01, first: Math.round(FIRST_SHARE * whole) };
}

/** Of the whole model, when a budget for it is first selected. */
const FIRST_SHARE = 0.7;

const BUDGETS: readonly BudgetKind[] = [
  {
    id: 'keep',
    label: 'Parameters kept',
    explanation: 'The share of the parameters to keep of what may be cut.',
    ...{ unit: '%', scale: 100, min: 1, max: 100, step: 1, first: 0.6 },
  },
  {
    id: 'error',
    label: 'Error allowed',
    explanation: 'The relative error allowed over all weights that may be cut.',
    ...{ unit: '%', scale: 100, min: 0, max: 90, step: 0.5, first: 0.1 },
  },
  {
    id: 'energy',
    label: 'Energy kept',
    explanation: 'The share of the squared singular values that each matrix keeps.',
    ...{ unit: '%', scale: 100, min: 10, max: 100, step: 0.1, first: 0.95 },
  },
  {
    id: 'rank',
    label: 'Same rank',
    explanation: 'One rank for all matrices that may be cut.',
    ...{ unit: '', scale: 1, min: 1, max: 1024, step: 1, first: 64 },
  },
  {
    id: 'compressionRatio',
    label: 'Compression ratio',
    explanation:
      'The rank c min(m, n) everywhere, as tutorials count it (compress_model_svd). It is no share of parameters: ' +
      'factors that save nothing stay dense.',
    ...{ unit: '', scale: 1, min: 0.01, max: 1, step: 0.01, first: 0.5 },
  },
];

export const SPREADS: readonly { readonly id: Spread; readonly label: string; readonly explanation: string }[] = [
  { id: 'optimal', label: 'Optimal', explanation: 'Spends parameters where they reduce the error most.' },
  { id: 'uniform', label: 'Uniform', explanation: 'Keeps the same share of parameters in every matrix.' },
  { id: 'energy', label: 'By energy', explanation: 'Keeps the same share of energy in every matrix.' },
  {
    id: 'activations',
    label: 'By activations',
    explanation: 'Spends parameters where they reduce the error of what a text gives to each layer.',
  },
  {
    id: 'loss',
    label: 'By loss',
    explanation: 'Measures for each matrix how far a cut moves the predictions on a text, and spends parameters there.',
  },
];

/** The displayed value of a budget. */
export function shownBudget({ value }: Budget, { scale }: BudgetKind): number {
  return Number((value * scale).toPrecision(12));
}

/** The budget for a displayed value. */
export function budgetOf(kind: BudgetKind, shown: number): Budget {
  const highest = kind.id === 'error' ? 0.999 : Number.POSITIVE_INFINITY;
  const value = Number((shown / kind.scale).toPrecision(12));
  // The end of a slider is rounded up, and a model of all bytes is one with nothing cut.
  return { kind: kind.id, value: Math.min(highest, kind.scale < 1 ? Math.ceil(value) : value) };
}

/** `request` with the rank of `name` set by hand, kept dense (null), or left to the plan again (undefined). */
export function withOverride(request: PlanRequest, name: string, rank: number | null | undefined): PlanRequest {
  const entries = Object.entries(request.overrides).filter(([other]) => other !== name);
  if (rank !== undefined) entries.push([name, rank]);
  return { ...request, overrides: Object.fromEntries(entries) };
}

/** The names of kinds that are dense by default, in the order of `DENSE_ROLES`. */
export const KIND_NAMES: Readonly<Record<DenseRole, string>> = {
  embedding: 'Embeddings',
  head: 'Heads',
  router: 'Routers',
  position: 'Position tables',
  norm: 'Norms',
  stem: 'Stems',
};

/** `request` with a kind of matrices cut as well, or dense by default again. */
export function withKind(request: PlanRequest, kind: DenseRole, cut: boolean): PlanRequest {
  const others = (request.include ?? []).filter((word) => word !== kind && word !== `${kind}s`);
  return { ...request, include: cut ? [...others, kind] : others };
}

/** Whether a kind of matrices is cut as well. */
export function includesKind({ include = [] }: PlanRequest, kind: DenseRole): boolean {
  return include.includes(kind) || include.includes(`${kind}s`);
}

/** The rank set by hand; null if the matrix is kept dense, undefined if the rank is left to the plan. */
export function overrideOf(request: PlanRequest, name: string): number | null | undefined {
  return Object.hasOwn(request.overrides, name) ? request.overrides[name] : undefined;
}

/** Which matrices may share their factor A. */
export const SHARES = [
  { id: 'none', label: 'Each has its own' },
  { id: 'inputs', label: 'Query, key and value; gate and up' },
  { id: 'layers', label: 'Neighbouring layers' },
  { id: 'both', label: 'Both, where that loses less' },
] as const;

type ShareId = (typeof SHARES)[number]['id'];

export function shareOf({ share }: PlanRequest): ShareId {
  if (!share) return 'none';
  if (share.layers > 1) return share.inputs ? 'both' : 'layers';
  return share.inputs ? 'inputs' : 'none';
}

/** Over layers, as many share as before, or the default number. */
export function withShare(request: PlanRequest, id: ShareId): PlanRequest {
  const { share, ...rest } = request;
  if (id === 'none') return rest;
  const layers = share && share.layers > 1 ? share.layers : SHARED_LAYERS;
  return { ...rest, share: { inputs: id !== 'layers', layers: id === 'inputs' ? 1 : layers } };
}

/** `request` with the rules of these lines, or what is wrong with the first line that is none. */
export function withRules(request: PlanRequest, lines: readonly string[]): PlanRequest | string {
  const rules = [];
  for (const line of lines) {
    const rule = readRule(line);
    if (typeof rule === 'string') return `“${line}”: ${rule}.`;
    rules.push(rule);
  }
  const { rules: _, ...rest } = request;
  return rules.length === 0 ? rest : { ...rest, rules };
}

export function ruleLines({ rules = [] }: PlanRequest): string[] {
  return rules.map(ruleText);
}
