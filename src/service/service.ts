import { chooseDevice } from '../devices/choose.ts';
import { isMeasured } from '../model/plan/planRequest.ts';
import type { Service } from '../protocol/service.ts';
import { layersModule } from '../write/layersModule.ts';
import { abortable } from './abortable.ts';
import { withActivations } from './activations/withActivations.ts';
import { AnalysisRun } from './analysis/analyze.ts';
import { Runs } from './analysis/runs.ts';
import { spectrum } from './analysis/spectra.ts';
import { apply } from './apply/apply.ts';
import { estimateApply } from './apply/estimateApply.ts';
import { type Cache, type Cached, DEFAULT_CACHE_BYTES, diskCache, noCache } from './cache/cache.ts';
import { memoryCache } from './cache/memoryCache.ts';
import { calibrate } from './calibrate/calibrate.ts';
import { OpenCheckpoints, viewOf } from './checkpoints/opened.ts';
import { compare } from './compare.ts';
import { compress } from './compress/compress.ts';
import { estimateCompression } from './compress/estimateCompression.ts';
import { type BlasPolicy, forgetBlas } from './devices/blasPolicy.ts';
import { Devices } from './devices/devices.ts';
import { diff } from './diff/diff.ts';
import { restoreHeads } from './diff/restoreHeads.ts';
import { evaluate } from './evaluate/evaluate.ts';
import { generate } from './generate/generate.ts';
import { smokeTest } from './generate/smokeTest.ts';
import { countLoraOf } from './lora/count.ts';
import { extract } from './lora/extract/extract.ts';
import { initialize } from './lora/init/initialize.ts';
import { suggestLora } from './lora/suggest.ts';
import { writeLora } from './lora/write.ts';
import { KnownSensitivities } from './plan/onInputs/knownSensitivities.ts';
import { planMeasured } from './plan/onInputs/planMeasured.ts';
import { plan } from './plan/plan.ts';
import { planCurves } from './plan/planCurves.ts';
import { writeScript } from './script/writeScript.ts';
import { sharing } from './sharing/sharing.ts';
import { training } from './training/training.ts';
import { trialPictures } from './trial/pictures.ts';
import { trial } from './trial/trial.ts';
import { TrialStore } from './trial/trialStore.ts';

export interface ServiceOptions {
  /** If left out, nothing is cached on disk. */
  readonly cacheFolder?: string | undefined;
  /** The largest size of the disk cache; 512 MB by default. */
  readonly cacheBytes?: number;
  /** Which native libraries may be loaded; none by default. */
  readonly blas?: BlasPolicy | undefined;
  /** Receives log lines that help in finding a fault. */
  readonly log?: (line: string) => void;
  /** Receives what every user should know; `log` by default. */
  readonly warn?: (line: string) => void;
}

/**
 * The use cases. The command line calls them in its own process and the editor through the engine process; they do not
 * know by whom they are called.
 */
export function createService(options: ServiceOptions): Service & { close(): Promise<void> } {
  const log = options.log ?? (() => undefined);
  const checkpoints = new OpenCheckpoints();
  const devices = new Devices(log, (request) => chooseDevice({ ...request, blas: options.blas }));
  const { cacheFolder, cacheBytes = DEFAULT_CACHE_BYTES, warn = log } = options;
  const cacheOf = <Entry extends Cached>(): Cache<Entry> =>
    cacheFolder === undefined ? noCache : diskCache(cacheFolder, cacheBytes, warn);
  const cache = memoryCache(cacheOf());
  const known = new KnownSensitivities(cacheOf());
  const tried = new TrialStore();
  const parts = { devices, cache, known, tried };
  const runs = new Runs();

  return {
    open: ({ path, device }, { signal } = {}) =>
      devices.startDuring(
        device,
        checkpoints.use(path, signal, async (opened) => viewOf(opened)),
      ),

    analyze: (request, context = {}) =>
      abortable(
        request.path,
        context.signal,
        devices.startDuring(
          request,
          checkpoints.use(request.path, context.signal, (opened) =>
            withActivations(opened, request.activations, context.signal, (activations) => {
              const run = new AnalysisRun(parts, opened, request, context, activations);
              return runs.during(request.path, run, run.run());
            }),
          ),
        ),
      ),

    async prioritize({ path, names }) {
      runs.prioritize(path, names);
    },

    spectrum: (request, context = {}) =>
      abortable(
        request.path,
        context.signal,
        checkpoints.use(request.path, context.signal, (opened) => spectrum(parts, opened, request, context)),
      ),

    compare: ({ paths }, context = {}) => abortable('adapters', context.signal, compare(checkpoints, paths, context)),

    diff: (request, context = {}) =>
      abortable(request.base, context.signal, diff(devices, checkpoints, request, context)),
    training: (request, context = {}) =>
      abortable(request.folder, context.signal, training(devices, checkpoints, request, context)),
    loraCount: (request, context = {}) =>
      abortable(request.path ?? 'model', context.signal, countLoraOf(checkpoints, request, context.signal)),
    loraSuggest: (request, context = {}) =>
      abortable(
        request.path,
        context.signal,
        checkpoints.use(request.path, context.signal, (opened) => suggestLora(parts, opened, request, context)),
      ),

    // Awaited even after a cancellation: once it ends, its temporary files are gone.
    loraWrite: (request, context = {}) => writeLora(devices, checkpoints, request, context),
    loraExtract: (request, context = {}) => extract(devices, checkpoints, request, context),
    loraInit: (request, context = {}) => initialize(devices, checkpoints, request, context),

    // Awaited even after a cancellation, as `apply` is.
    restoreHeads: (request, context = {}) => restoreHeads(checkpoints, request, context),

    generate: async (request, context = {}) =>
      abortable(request.path, context.signal, generate(devices, checkpoints, request, context)),

    plan: (request, context = {}) =>
      abortable(
        request.path,
        context.signal,
        checkpoints.use(request.path, context.signal, (opened) =>
          isMeasured(request.request)
            ? planMeasured(parts, opened, request.request, request.sources ?? {}, devices.settle(request), context)
            : plan(parts, opened, request.request, devices.settle(request), context),
        ),
      ),

    trial: (request, context = {}) =>
      abortable(
        request.path,
        context.signal,
        checkpoints.use(request.path, context.signal, (opened) => trial(parts, opened, request, context)),
      ),
    trialPictures: (request, context = {}) =>
      abortable(
        request.path,
        context.signal,
        checkpoints.use(request.path, context.signal, (opened) => trialPictures(parts, opened, request, context)),
      ),

    sharing: (request, context = {}) =>
      abortable(
        request.path,
        context.signal,
        checkpoints.use(request.path, context.signal, (opened) =>
          sharing(parts, checkpoints, opened, request, context),
        ),
      ),

    planCurves: (request, context = {}) =>
      abortable(
        request.path,
        context.signal,
        checkpoints.use(request.path, context.signal, (opened) =>
          planCurves(parts, opened, request.plan, devices.settle(request), context),
        ),
      ),

    // Awaited even after a cancellation, as `apply` is.
    calibrate: (request, context = {}) =>
      checkpoints.use(request.path, context.signal, (opened) => calibrate(devices, opened, request, context)),

    // Awaited even after a cancellation: once it ends, its temporary files are gone.
    apply: (request, context = {}) =>
      checkpoints.use(request.path, context.signal, async (opened) => {
        const report = await apply(parts, opened, request, context);
        if (request.smokeTest === false) return { ...report, smokeTest: null };
        const written = { opened, out: report.out, request };
        return { ...report, smokeTest: await smokeTest(devices, checkpoints, written, context) };
      }),

    estimateApply: (request, context = {}) =>
      abortable(
        request.path,
        context.signal,
        checkpoints.use(request.path, context.signal, (opened) => estimateApply(opened, request, context.signal)),
      ),

    // Awaited even after a cancellation: once it ends, what it has finished is whole on the disk.
    compress: (request, context = {}) =>
      checkpoints.use(request.path, context.signal, (opened) => compress(parts, checkpoints, opened, request, context)),
    estimateCompression: (request, context = {}) =>
      abortable(
        request.path,
        context.signal,
        checkpoints.use(request.path, context.signal, (opened) =>
          estimateCompression(parts, opened, request, context.signal),
        ),
      ),

    evaluate: (request, context = {}) =>
      abortable(request.path, context.signal, evaluate(devices, checkpoints, request, context)),
    script: (request, context = {}) =>
      checkpoints.use(request.path, context.signal, (opened) => writeScript(opened, request, context)),

    layerCode: async (request) => ({ text: layersModule(request) }),

    async clearCache() {
      // What was found out about libraries is learned anew as well.
      if (cacheFolder !== undefined) forgetBlas(cacheFolder);
      known.clear();
      tried.clear();
      return cache.clear();
    },

    async close() {
      await Promise.all([checkpoints.close(), devices.close()]);
    },
  };
}
