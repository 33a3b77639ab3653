import * as vscode from 'vscode';
import type { PlanCalls, PlanSnapshot } from '../../protocol/page.ts';
import { type PageHost, servePage } from '../../protocol/pageChannel.ts';
import { overviewOf, planRows } from '../../window/plan/planOverview.ts';
import { textFileOf } from '../../window/textFile.ts';
import { showError } from '../commands/register.ts';
import { reveal } from '../commands/reveal.ts';
import { measurePlan } from '../evaluation/measure.ts';
import { pickText } from '../evaluation/pickText.ts';
import { loadPage, webviewPort } from '../pages/page.ts';
import { collectionLimits } from '../settings.ts';
import type { Workbench } from '../workbench.ts';
import { applyPlan } from './applyPlan.ts';
import { openPlan } from './openPlan.ts';
import { savePlan } from './savePlan.ts';

async function chooseText(workbench: Workbench): Promise<void> {
  const text = await pickText(workbench, 'calibration');
  if (text !== undefined) workbench.desk.chooseText({ ...(await textFileOf(text)), ...collectionLimits() });
}

/** The rank plan in the side bar. */
export function registerPlanView(workbench: Workbench): void {
  workbench.context.subscriptions.push(
    vscode.window.registerWebviewViewProvider('rankscope.plan', {
      resolveWebviewView: (view) => showPlan(workbench, view),
    }),
  );
}

function showPlan(workbench: Workbench, view: vscode.WebviewView): void {
  const { desk, store, engine } = workbench;
  const compute = () => {
    // A hidden page needs no plan, and a running analysis triggers one when it ends. Errors are in the snapshot.
    if (!view.visible || desk.path === null || store.get(desk.path).run.status === 'running') return;
    // A measurement takes minutes, and is started by the user.
    if (desk.isQuick) void desk.compute().catch(() => undefined);
  };
  const act = async (action: () => Promise<unknown>) => {
    await action().catch((error: unknown) => showError(workbench.log, error));
  };
  /** The last plan, which stays in view while the next one is computed. */
  let last = desk.snapshot().plan;
  const page: PageHost<Partial<PlanSnapshot>> = servePage<PlanCalls, Partial<PlanSnapshot>>(webviewPort(view.webview), {
    ready: async () => {
      const snapshot = desk.snapshot();
      compute();
      return { ...snapshot, plan: snapshot.plan && overviewOf(snapshot.plan) };
    },
    matrices: async ({ filter, count }) => planRows(last, filter, count),
    curves: async () => {
      const { path } = desk;
      if (!last || path === null) return [];
      // The plan of a text needs no spectra of the weights, which these curves must not start to compute.
      if (last.sensitivities && store.get(path).run.status !== 'done') return null;
      return engine.service.planCurves({ path, plan: last });
    },
    selectCheckpoint: async ({ path }) => desk.selectCheckpoint(path),
    change: async (request) => desk.change(request),
    undo: async () => desk.undo(),
    redo: async () => desk.redo(),
    openPlan: () => act(() => openPlan(workbench)),
    chooseText: () => act(() => chooseText(workbench)),
    limitMinutes: async ({ minutes }) => desk.limitMinutes(minutes),
    start: async () => void desk.compute().catch(() => undefined),
    cancel: async () => desk.cancel(),
    apply: () => act(() => applyPlan(workbench)),
    measure: () => act(() => measurePlan(workbench)),
    savePlan: () => act(() => savePlan(workbench)),
    reveal: ({ name }) => act(async () => desk.path !== null && reveal(workbench, { path: desk.path, name })),
  });
  const off = desk.changes.on((update) => {
    const { plan, ...rest } = update;
    if (plan) last = plan;
    page.update(plan === undefined ? rest : { ...rest, plan: plan && overviewOf(plan) });
    if (update.request || update.checkpoints) compute();
  });
  const offRuns = store.updates.on((session) => {
    if (session.path !== desk.path || session.run.status !== 'done') return;
    page.update({ measure: desk.snapshot().measure });
    compute();
  });
  const trusted = vscode.workspace.onDidGrantWorkspaceTrust(() => page.update({ canWrite: true }));
  const visible = view.onDidChangeVisibility(compute);
  view.onDidDispose(() => {
    off();
    offRuns();
    page.close();
    vscode.Disposable.from(trusted, visible).dispose();
  });
  loadPage(view.webview, workbench.context.extensionUri, 'plan', 'Rank plan');
}
