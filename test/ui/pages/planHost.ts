import type { Plan, PlanRequest } from '../../../src/model/plan/plan.ts';
import type { SensitivityCurve } from '../../../src/model/plan/sensitivityCurves.ts';
import type { PlanCalls, PlanSnapshot } from '../../../src/protocol/page.ts';
import { createService } from '../../../src/service/service.ts';
import type { PlanState } from '../../../src/window/plan/planDesk.ts';
import { overviewOf, planRows } from '../../../src/window/plan/planOverview.ts';
import { SAMPLE } from './inspectorHost.ts';
import type { OpenedPage, OpenOptions, PageHarness } from './pageHarness.ts';

export const REQUEST: PlanRequest = {
  budget: { kind: 'keep', value: 0.6 },
  spread: 'optimal',
  multiple: 4,
  exclude: ['*.layers.0.*'],
  include: [],
  overrides: {},
  factors: 2,
};

/** Its host takes whole plans, as the plan desk does. */
export interface PlanUnderTest extends OpenedPage<Partial<PlanState>> {
  readonly asked: { readonly requests: PlanRequest[]; readonly others: string[] };
}

/** The plan page on a host that writes down what it was asked. */
export async function openPlan(
  harness: PageHarness,
  snapshot: PlanState,
  options: OpenOptions = {},
): Promise<PlanUnderTest> {
  const asked: PlanUnderTest['asked'] = { requests: [], others: [] };
  const note = (what: string) => async () => void asked.others.push(what);
  let last = snapshot.plan;
  const opened = await harness.open<PlanCalls, Partial<PlanSnapshot>>(
    'plan',
    {
      ready: async () => ({ ...snapshot, plan: snapshot.plan && overviewOf(snapshot.plan) }),
      curves: async () => curvesOf(last),
      matrices: async ({ filter, count }) => planRows(last, filter, count),
      selectCheckpoint: async ({ path }) => void asked.others.push(`select ${path}`),
      change: async (request) => void asked.requests.push(request),
      undo: note('undo'),
      redo: note('redo'),
      openPlan: note('openPlan'),
      apply: note('apply'),
      savePlan: note('savePlan'),
      measure: note('measure'),
      chooseText: note('chooseText'),
      limitMinutes: async ({ minutes }) => void asked.others.push(`minutes ${minutes}`),
      start: note('start'),
      cancel: note('cancel'),
      reveal: async ({ name }) => void asked.others.push(`reveal ${name}`),
    },
    { width: 300, height: 900, ...options },
  );
  const host: PlanUnderTest['host'] = {
    close: opened.host.close,
    update({ plan, ...rest }) {
      last = plan ?? last;
      opened.host.update(plan === undefined ? rest : { ...rest, plan: plan && overviewOf(plan) });
    },
  };
  return { ...opened, host, asked };
}

/** A plan of the sample model by the real service. */
export async function planned(request: PlanRequest = REQUEST): Promise<Plan> {
  const service = createService({});
  try {
    return await service.plan({ path: SAMPLE, request });
  } finally {
    await service.close();
  }
}

/** The curves of a plan of the sample by the real service; none of a plan that is not of the sample. */
async function curvesOf(plan: Plan | null): Promise<readonly SensitivityCurve[]> {
  if (plan?.checkpoint.path !== SAMPLE || plan.matrices.length > 1000) return [];
  const service = createService({});
  try {
    return await service.planCurves({ path: SAMPLE, plan });
  } finally {
    await service.close();
  }
}

export function snapshotOf(plan: Plan | null, change: Partial<PlanState> = {}): PlanState {
  return {
    checkpoints: [
      { path: SAMPLE, name: 'sample/model.safetensors' },
      { path: '/other.gguf', name: 'other.gguf' },
    ],
    current: SAMPLE,
    request: plan?.request ?? REQUEST,
    plan,
    error: null,
    busy: null,
    measure: { text: null, statistics: null, minutes: null, waits: false },
    canUndo: false,
    canRedo: false,
    canWrite: true,
    ...change,
  };
}
