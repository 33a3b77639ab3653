import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createService } from '../../src/service/service.ts';
import { type Outcome, tryArchitecture, type Written } from './architecture.ts';
import { PythonWorker } from './pythonWorker.ts';

/** A model takes about a second; importing the libraries takes minutes where the machine is very busy. */
const LIMIT_SECONDS = 400;

export interface Versions {
  readonly transformers: string;
  readonly torch: string;
}

/** The model types that the transformers of `python` knows. */
export async function modelTypes(python: string): Promise<Versions & { readonly types: readonly string[] }> {
  const worker = new PythonWorker(python, LIMIT_SECONDS);
  try {
    return await worker.ask({ do: 'list' });
  } finally {
    worker.close();
  }
}

/** Tries `types`, two at a time, and reports each as it is done; returns them in the order given. */
export async function sweep(
  python: string,
  types: readonly string[],
  report: (outcome: Outcome, done: number) => void = () => undefined,
  written: Written = 'code',
): Promise<Outcome[]> {
  const folder = await mkdtemp(join(tmpdir(), 'rankscope-sweep-'));
  const service = createService({});
  const outcomes = new Map<string, Outcome>();
  const waiting = [...types];
  const lane = async (name: string): Promise<void> => {
    const worker = new PythonWorker(python, LIMIT_SECONDS);
    try {
      for (let type = waiting.shift(); type !== undefined; type = waiting.shift()) {
        const outcome = await tryArchitecture(type, { service, worker, folder: join(folder, name), written });
        outcomes.set(type, outcome);
        report(outcome, outcomes.size);
      }
    } finally {
      worker.close();
    }
  };
  try {
    await Promise.all([lane('a'), lane('b')]);
  } finally {
    await service.close();
    await rm(folder, { recursive: true, force: true });
  }
  return types.map((type) => outcomes.get(type)!);
}
