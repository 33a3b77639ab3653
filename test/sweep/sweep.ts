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

/** What the transformers of a Python knows: model types, and the `Auto` classes that open each class. */
export interface Known extends Versions {
  readonly types: readonly string[];
  readonly autos: Readonly<Record<string, readonly string[]>>;
}

export async function known(python: string): Promise<Known> {
  const worker = new PythonWorker(python, LIMIT_SECONDS);
  try {
    return await worker.ask({ do: 'list' });
  } finally {
    worker.close();
  }
}

/** Tries `types`, as many at a time as `lanes`, and reports each as it is done; returns them in the order given. */
export async function sweep(
  python: string,
  types: readonly string[],
  report: (outcome: Outcome) => void = () => undefined,
  written: Written = 'code',
  lanes = 2,
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
        report(outcome);
      }
    } finally {
      worker.close();
    }
  };
  try {
    await Promise.all(Array.from({ length: lanes }, (_, at) => lane(`lane${at}`)));
  } finally {
    await service.close();
    await rm(folder, { recursive: true, force: true });
  }
  return types.map((type) => outcomes.get(type)!);
}
