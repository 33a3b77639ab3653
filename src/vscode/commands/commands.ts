import * as vscode from 'vscode';
import { formatBytes } from '../../base/quantities.ts';
import type { FormValues } from '../../window/lora/form.ts';
import { type CollectTarget, collectActivations } from '../activations/collectActivations.ts';
import { useActivations } from '../activations/useActivations.ts';
import { compareAdapters } from '../comparison/compareAdapters.ts';
import { type CompressTarget, compress } from '../compression/compress.ts';
import { compareCheckpoints, selectForCompare } from '../diff/compareCheckpoints.ts';
import { installTensorFlow } from '../engine/installTensorFlow.ts';
import { evaluationPanels } from '../evaluation/evaluationPanel.ts';
import { type MeasureTarget, measure, measurePlan } from '../evaluation/measure.ts';
import { addFromFile } from '../evaluation/openEvaluation.ts';
import { type GenerateTarget, generate } from '../generation/generate.ts';
import { checkpointPath } from '../inspector/checkpointFile.ts';
import { loraPanels } from '../lora/loraPanel.ts';
import { extractAdapter, initializeAdapter } from '../lora/makeAdapter.ts';
import { cleanAdapter, convertAdapter, mergeAdapters, resizeAdapter } from '../lora/rewriteAdapter.ts';
import { applyPlan } from '../plan/applyPlan.ts';
import { openPlan } from '../plan/openPlan.ts';
import { savePlan } from '../plan/savePlan.ts';
import { insertLayers, type LayersTarget } from '../python/insertLayers.ts';
import { type PythonTarget, withPython } from '../python/withPython.ts';
import { sharingPanels } from '../sharing/sharingPanel.ts';
import { showTraining } from '../training/trainingPanel.ts';
import type { Workbench } from '../workbench.ts';
import { analyze, askCheckpoint, type CheckpointArgument, uriOf } from './analyze.ts';
import { registerCommands } from './register.ts';
import { reveal } from './reveal.ts';
import { askSession, type RankTarget, setRank } from './setRank.ts';

/** Registers every command of package.json; links in hovers and menus of the tree pass their targets. */
export function registerAllCommands(workbench: Workbench): void {
  const { desk, engine, log, store, context } = workbench;
  registerCommands(workbench, {
    analyze: (target: CheckpointArgument, several?: readonly vscode.Uri[]) => analyze(workbench, target, several),
    compareAdapters: (target: CheckpointArgument, several?: readonly vscode.Uri[]) =>
      compareAdapters(workbench, target, several),
    showTraining: (target: CheckpointArgument) => showTraining(workbench, target),
    selectForCompare: (target: CheckpointArgument) => selectForCompare(target),
    compareCheckpoints: (target: CheckpointArgument, several?: readonly vscode.Uri[]) =>
      compareCheckpoints(workbench, target, several),
    mergeAdapters: async (target: CheckpointArgument, several?: readonly vscode.Uri[], what?: FormValues) => {
      const paths = await chosenPaths(target, several, 'The Adapter');
      return paths && mergeAdapters(workbench, paths, what);
    },
    suggestLora: async (target: CheckpointArgument) => {
      const path = await askCheckpoint(target, 'Suggest LoRA Ranks', desk.snapshot().current);
      if (path !== undefined) loraPanels.reveal(workbench, path);
    },
    extractAdapter: async (target: CheckpointArgument, several?: readonly vscode.Uri[], what?: FormValues) => {
      const paths = await chosenPaths(target, several, 'The Tuned Model');
      return paths && extractAdapter(workbench, paths, what);
    },
    initializeAdapter: async (target: CheckpointArgument, what?: FormValues) => {
      const path = await askCheckpoint(target, 'Initialize Adapter');
      return path && initializeAdapter(workbench, path, Array.isArray(what) ? undefined : what);
    },
    resizeAdapter: async (target: CheckpointArgument, what?: FormValues) => {
      const path = await askCheckpoint(target, 'Resize Adapter');
      return path && resizeAdapter(workbench, path, Array.isArray(what) ? undefined : what);
    },
    convertAdapter: async (target: CheckpointArgument, what?: FormValues) => {
      const path = await askCheckpoint(target, 'Convert Adapter');
      return path && convertAdapter(workbench, path, Array.isArray(what) ? undefined : what);
    },
    cleanAdapter: async (target: CheckpointArgument, what?: FormValues) => {
      const path = await askCheckpoint(target, 'Clean Adapter');
      return path && cleanAdapter(workbench, path, Array.isArray(what) ? undefined : what);
    },
    countLora: () => loraPanels.reveal(workbench, ''),
    findShared: async (target: CheckpointArgument) => {
      const path = await askCheckpoint(target, 'Find What Layers Share', desk.snapshot().current);
      if (path !== undefined) sharingPanels.reveal(workbench, path);
    },
    reveal: (target: { path: string; name: string }) => reveal(workbench, target),
    forget: (target: { path: string }) => store.forget(target.path),
    cancel: () => Promise.all(store.known().map((session) => session.cancel())),
    setRank: (target?: RankTarget & { name?: string }) =>
      setRank(workbench, target?.name === undefined ? target : { ...target, names: [target.name] }),
    makePlan: async (target: CheckpointArgument) => {
      const path = uriOf(target)?.fsPath ?? (await askSession(workbench))?.path;
      if (path !== undefined && (await store.get(path).open())) {
        await store.remember(path);
        desk.selectCheckpoint(path);
      }
      await vscode.commands.executeCommand('rankscope.plan.focus');
    },
    applyPlan: (target?: vscode.Uri) => applyPlan(workbench, target instanceof vscode.Uri ? target : undefined),
    savePlan: (target?: vscode.Uri) => savePlan(workbench, target instanceof vscode.Uri ? target : undefined),
    openPlan: (target?: vscode.Uri) => openPlan(workbench, target instanceof vscode.Uri ? target : undefined),
    compress: async (target: CheckpointArgument, what?: CompressTarget) => {
      const path = await askCheckpoint(target, 'Compress', desk.snapshot().current);
      return path === undefined ? undefined : compress(workbench, path, Array.isArray(what) ? {} : what);
    },
    measure: async (target: CheckpointArgument, what?: MeasureTarget) => {
      const path = await askCheckpoint(target, 'Measure Perplexity');
      // A menu passes the selection of the Explorer as its second argument.
      if (path !== undefined) await measure(workbench, path, Array.isArray(what) ? {} : what);
    },
    generate: async (target: CheckpointArgument, what?: GenerateTarget) => {
      const path = await askCheckpoint(target, 'Continue a Prompt', desk.snapshot().current);
      return path && generate(workbench, path, Array.isArray(what) ? {} : what);
    },
    collectActivations: async (target: CheckpointArgument, what?: CollectTarget) => {
      const path = await askCheckpoint(target, 'Collect Activations');
      return path === undefined ? undefined : collectActivations(workbench, path, Array.isArray(what) ? {} : what);
    },
    useActivations: async (target: CheckpointArgument, file?: string) => {
      const path = await askCheckpoint(target, 'Use Activations');
      if (path !== undefined) await useActivations(workbench, path, typeof file === 'string' ? file : undefined);
    },
    measureWithPython: async (target: CheckpointArgument, what?: PythonTarget) => {
      const path = await askCheckpoint(target, 'Measure Perplexity with Python');
      return path && withPython(workbench, 'evaluate', path, Array.isArray(what) ? {} : what);
    },
    collectWithPython: async (target: CheckpointArgument, what?: PythonTarget) => {
      const path = await askCheckpoint(target, 'Collect Activations with Python');
      return path && withPython(workbench, 'calibrate', path, Array.isArray(what) ? {} : what);
    },
    compressWithPython: async (target: CheckpointArgument, what?: PythonTarget) => {
      const path = await askCheckpoint(target, 'Compress with Python');
      return path && withPython(workbench, 'compress', path, Array.isArray(what) ? {} : what);
    },
    insertLayers: (what?: LayersTarget) => insertLayers(workbench, what),
    measurePlan: (what?: Pick<MeasureTarget, 'text'>) => measurePlan(workbench, what),
    openEvaluation: async (target?: vscode.Uri) => {
      const path = await addFromFile(workbench, target instanceof vscode.Uri ? target : undefined);
      if (path !== undefined) evaluationPanels.reveal(workbench, path);
    },
    clearCache: () => clearCache(workbench),
    installTensorFlow: () => installTensorFlow(workbench),
    restartEngine: () => engine.stop(),
    showLog: () => log.show(),
    openWalkthrough: () =>
      vscode.commands.executeCommand('workbench.action.openWalkthrough', `${context.extension.id}#start`, false),
    openSettings: () => vscode.commands.executeCommand('workbench.action.openSettings', `@ext:${context.extension.id}`),
  });
}

/** What is selected in the Explorer, at most once each; else one checkpoint, which may be asked for. */
async function chosenPaths(
  target: CheckpointArgument,
  several: readonly vscode.Uri[] | undefined,
  title: string,
): Promise<readonly string[] | undefined> {
  if (several && several.length > 1) return [...new Set(several.map(checkpointPath))];
  const path = await askCheckpoint(target, title);
  return path === undefined ? undefined : [path];
}

async function clearCache({ engine, archive }: Workbench): Promise<void> {
  const { bytes } = await engine.service.clearCache({});
  await archive.clear();
  void vscode.window.showInformationMessage(`Rankscope cleared its cache and freed ${formatBytes(bytes)}.`);
}
