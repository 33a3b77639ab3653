import { resolve } from 'node:path';
import { RankscopeError } from '../../../src/base/errors.ts';
import type { Trial, TrialChoice, TrialPictureRequest, TrialPictures } from '../../../src/model/trial.ts';
import type { InspectorCalls, InspectorSnapshot, InspectorUpdate, SaveRequest } from '../../../src/protocol/page.ts';
import type { PageHandlers } from '../../../src/protocol/pageChannel.ts';
import type { Spectrum } from '../../../src/protocol/service.ts';
import { createService } from '../../../src/service/service.ts';
import type { OpenedPage, PageHarness } from './pageHarness.ts';
import type { ThemeName } from './themes.ts';

/** The small language model of the sample workspace: real weights, in the repository. */
export const SAMPLE = resolve('test/fixtures/sample/model.safetensors');

/** The inspector page on a host that answers from a snapshot and writes down what it was asked. */
export interface InspectorUnderTest extends OpenedPage<InspectorUpdate> {
  readonly asked: {
    /** The ranks that were set; `clear` leaves it to the plan. */
    readonly ranks: { name: string; rank: number | 'clear' }[];
    readonly saved: SaveRequest[];
    readonly visible: (readonly string[])[];
    readonly runs: string[];
    readonly opened: string[];
    readonly selected: string[];
    readonly trials: { name: string; choice: TrialChoice }[];
    readonly pictures: Omit<TrialPictureRequest, 'path'>[];
  };
}

export interface HostOptions {
  readonly theme?: ThemeName;
  readonly width?: number;
  readonly height?: number;
  /** The singular values of a matrix; a rejection is an answer too. */
  readonly spectrum?: (name: string) => Promise<readonly number[] | Spectrum>;
  readonly setRank?: () => Promise<void>;
  readonly trial?: (name: string, choice: TrialChoice) => Promise<Trial>;
  readonly pictures?: (request: Omit<TrialPictureRequest, 'path'>) => Promise<TrialPictures>;
}

export async function openInspector(
  harness: PageHarness,
  snapshot: InspectorSnapshot,
  { spectrum, setRank, trial, pictures, ...options }: HostOptions = {},
): Promise<InspectorUnderTest> {
  const asked: InspectorUnderTest['asked'] = {
    ...{ ranks: [], saved: [], visible: [], runs: [], opened: [], selected: [] },
    ...{ trials: [], pictures: [] },
  };
  const handlers: PageHandlers<InspectorCalls> = {
    ready: async () => snapshot,
    openChoice: async ({ path }) => void asked.opened.push(path),
    run: async () => void asked.runs.push('run'),
    cancel: async () => void asked.runs.push('cancel'),
    activations: async () => void asked.runs.push('activations'),
    measure: async () => void asked.runs.push('measure'),
    trial: async ({ name, choice }) => {
      asked.trials.push({ name, choice });
      if (!trial) throw new RankscopeError('engine', name, 'there is no engine', '');
      return trial(name, choice);
    },
    cancelTrial: async () => void asked.runs.push('cancel trial'),
    trialPictures: async (request) => {
      asked.pictures.push(request);
      if (!pictures) throw new RankscopeError('engine', request.name, 'there is no engine', '');
      return pictures(request);
    },
    spectrum: async ({ name }) => {
      const found = (await spectrum?.(name)) ?? [1];
      return 'singularValues' in found ? found : { name, singularValues: found };
    },
    visible: async ({ names }) => void asked.visible.push(names),
    select: async ({ name }) => void asked.selected.push(name),
    setRank: async (pick) => {
      asked.ranks.push(pick);
      await setRank?.();
    },
    clearRank: async ({ name }) => void asked.ranks.push({ name, rank: 'clear' }),
    save: async (request) => {
      asked.saved.push(request);
      return true;
    },
  };
  const opened = await harness.open<InspectorCalls, InspectorUpdate>('inspector', handlers, options);
  return { ...opened, asked };
}

/** A finished analysis of a real checkpoint by the real service, and its spectra. */
export async function analyzed(
  file: string,
): Promise<{ snapshot: InspectorSnapshot; spectra: ReadonlyMap<string, readonly number[]> }> {
  const service = createService({});
  try {
    const checkpoint = await service.open({ path: file });
    const { matrices, engine, skipped } = await service.analyze({ path: file, values: true });
    const total = matrices.length;
    return {
      spectra: new Map(matrices.map(({ name, singularValues }) => [name, singularValues ?? []])),
      snapshot: {
        checkpoint,
        error: null,
        engine,
        findings: matrices.map(({ singularValues: _, ...finding }) => finding),
        skipped,
        run: { status: 'done', done: total, total, message: '', secondsLeft: null },
        statistics: null,
        smokeTest: null,
        ranks: {},
        selected: null,
      },
    };
  } finally {
    await service.close();
  }
}
