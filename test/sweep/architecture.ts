import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RankscopeError } from '../../src/base/errors.ts';
import type { MatrixFinding } from '../../src/model/findings.ts';
import { PLAN_DEFAULTS } from '../../src/model/plan/planRequest.ts';
import type { Service } from '../../src/protocol/service.ts';
import type { PythonWorker } from './pythonWorker.ts';

/**
 * `equal`: outputs and all weights are those of the dense model with W = B A. `refused`: an error, and the model is as
 * it was; all others are faults, except for what transformers itself cannot build, run or save.
 */
export type Verdict =
  | 'equal'
  | 'WRONG'
  | 'half loaded'
  | 'run error'
  | 'refused'
  | 'not written'
  | 'harness'
  | 'cannot build'
  | 'cannot run'
  | 'cannot save';

export interface Outcome {
  readonly type: string;
  readonly verdict: Verdict;
  readonly reason?: string;
  readonly class?: string;
  /** Matrices that the plan gives a rank. */
  readonly planned?: number;
  /** Layers that hold factors, and planned matrices whose layers kept their forward and hold the product. */
  readonly replaced?: number;
  readonly kept?: number;
  /** Matrices whose singular values were compared with LAPACK's, and those that differ. */
  readonly spectra?: number;
  readonly wrongSpectra?: readonly string[];
  /** Planned matrices that should be dense by default, with their kind. */
  readonly suspects?: readonly string[];
  /** Of the weights in the folder, and of the model before. */
  readonly bytes?: number;
  readonly bytesBefore?: number;
  readonly difference?: number;
  readonly effect?: number;
  readonly seconds: number;
}

/** A rank that leaves factors of the smallest layers smaller than the layers, and cuts deep. */
const RANK = 3;
const ENGINE = { engine: 'cpu', threads: 1 } as const;

interface Made {
  readonly cannot?: 'build' | 'run' | 'save';
  readonly reason?: string;
  readonly class?: string;
  readonly folder: string;
}

/** What is written of a model: a file with its code, or a model folder for transformers. */
export type Written = 'code' | 'folder';

/** Makes a small model of `type`, plans it, writes it, and has Python judge what is loaded. */
export async function tryArchitecture(
  type: string,
  { service, worker, folder, written }: { service: Service; worker: PythonWorker; folder: string; written: Written },
): Promise<Outcome> {
  const started = performance.now();
  const end = (outcome: Omit<Outcome, 'type' | 'seconds'>): Outcome => ({
    type,
    ...outcome,
    seconds: Math.round((performance.now() - started) / 100) / 10,
  });
  let made: Made;
  try {
    await mkdir(folder, { recursive: true });
    made = await worker.ask<Made>({ do: 'make', type, folder });
  } catch (error) {
    return end({ verdict: 'harness', reason: (error as Error).message });
  }
  const about = made.class === undefined ? {} : { class: made.class };
  if (made.cannot !== undefined)
    return end({
      verdict: `cannot ${made.cannot}`,
      ...about,
      ...(made.reason === undefined ? {} : { reason: made.reason }),
    });
  if (written === 'folder') return end({ ...about, ...(await judgedFolder(service, worker, folder, made.folder)) });
  const [result, code] = [join(folder, 'smaller.safetensors'), join(folder, 'smaller.py')];
  let findings: readonly MatrixFinding[];
  try {
    findings = await write(service, made.folder, result, code);
  } catch (error) {
    if (!(error instanceof RankscopeError)) throw error;
    return end({ verdict: 'not written', ...about, reason: error.message });
  }
  try {
    const verdict = await worker.ask<Outcome>({ do: 'judge', folder, result, code, findings });
    return end({ ...about, ...verdict });
  } catch (error) {
    return end({ verdict: 'harness', ...about, reason: (error as Error).message });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The verdict on the folder that a plan at 0.7 makes, on its outputs and on what save_pretrained makes of it. */
async function judgedFolder(
  service: Service,
  worker: PythonWorker,
  folder: string,
  path: string,
): Promise<Pick<Outcome, 'verdict'> & Partial<Outcome>> {
  const out = join(folder, 'smaller');
  try {
    const request = { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.7 } } as const;
    const plan = await service.plan({ path, request, ...ENGINE });
    await service.apply({ path, plan, out, form: 'folder', smokeTest: false, ...ENGINE });
  } catch (error) {
    if (!(error instanceof RankscopeError)) throw error;
    return { verdict: 'not written', reason: error.message };
  }
  try {
    return await worker.ask<Outcome>({ do: 'judge folder', folder, out });
  } catch (error) {
    return { verdict: 'harness', reason: (error as Error).message };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Plans and writes as the command line does by default; returns the findings with their singular values. */
async function write(service: Service, path: string, out: string, code: string): Promise<readonly MatrixFinding[]> {
  const { matrices } = await service.analyze({ path, values: true, cache: false, ...ENGINE });
  const request = { ...PLAN_DEFAULTS, budget: { kind: 'rank', value: RANK } } as const;
  const plan = await service.plan({ path, request, ...ENGINE });
  await service.apply({ path, plan, out, code, overwrite: true, ...ENGINE });
  return matrices;
}
