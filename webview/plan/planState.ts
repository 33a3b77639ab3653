import type { DenseRole } from '../../src/model/names/roles.ts';
import type { Budget, PlanRequest, Spread } from '../../src/model/plan/plan.ts';
import { SHARED_LAYERS } from '../../src/model/plan/planRequest.ts';

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

export const BUDGETS: readonly BudgetKind[] = [
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

export function budgetKind(id: Budget['kind']): BudgetKind {
  return BUDGETS.find((kind) => kind.id === id)!;
}

/** Whether ranks are spread at all: with one rank or one share of energy everywhere, there is nothing to spread. */
export function spreads({ kind }: Budget): boolean {
  return kind === 'keep' || kind === 'error';
}

/** The displayed value of a budget. */
export function shownBudget({ kind, value }: Budget): number {
  return Number((value * budgetKind(kind).scale).toPrecision(12));
}

/** The budget for a displayed value. */
export function budgetOf(kind: BudgetKind, shown: number): Budget {
  const highest = kind.id === 'error' ? 0.999 : Number.POSITIVE_INFINITY;
  return { kind: kind.id, value: Math.min(highest, Number((shown / kind.scale).toPrecision(12))) };
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
