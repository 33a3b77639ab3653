// Entry point of a worker thread.
import { parentPort, workerData } from 'node:worker_threads';
import type { SingularTriplets } from '../../base/singularTriplets.ts';
import { openSgemm } from './blas/sgemm.ts';
import type { Job, Reply, Start } from './job.ts';
import { instantiate } from './kernels.ts';
import { attend } from './routines/attend.ts';
import { attendBack } from './routines/attendBack.ts';
import { bidiagonalTriplets, bidiagonalValues } from './routines/bidiagonal.ts';
import { decode } from './routines/decode.ts';
import { orthonormalize } from './routines/orthonormalize.ts';
import { productTasks } from './routines/product.ts';
import { onRows } from './routines/rows.ts';
import { singularValues } from './routines/singularValues.ts';
import { svd } from './routines/svd.ts';
import { Stopped, Team } from './team.ts';

const { module, memory, id, threads, sync, scratch, blas } = workerData as Start;
const kernels = instantiate(module, memory);
const native = blas && { ...blas, sgemm: openSgemm(blas.path, blas.symbol, memory, scratch.call) };
const reply = (message: Reply) =>
  parentPort!.postMessage(message, message.kind === 'done' ? buffersOf(message.result) : []);

/** The vectors of a decomposition, which are moved to the other thread, not copied. */
function buffersOf(result: unknown): ArrayBuffer[] {
  const { left, right } = (result ?? {}) as Partial<SingularTriplets>;
  return [left, right].flatMap((factor) => (factor ? [factor.buffer as ArrayBuffer] : []));
}

function perform(team: Team, job: Job): unknown {
  switch (job.routine) {
    case 'multiply':
      for (const product of job.args) team.perform(productTasks(team, product));
      return undefined;
    case 'decode':
      return decode(team, job.args);
    case 'rows':
      return onRows(team, job.args);
    case 'attend':
      return attend(team, job.args);
    case 'attendBack':
      return attendBack(team, job.args);
    case 'orthonormalize':
      return orthonormalize(team, job.args);
    case 'singularValues':
      return singularValues(team, job.args);
    case 'svd':
      return svd(team, job.args);
    case 'bidiagonalValues':
      return bidiagonalValues(team, job.args);
    case 'bidiagonalTriplets':
      return bidiagonalTriplets(team, job.args);
  }
}

/** Only the leader reports, at most ten times per second. */
function reporter(job: number): (share: number) => void {
  let last = 0;
  return (share) => {
    if (id !== 0 || performance.now() - last < 100) return;
    last = performance.now();
    reply({ id: job, kind: 'progress', share: Math.min(1, Math.max(0, share)) });
  };
}

parentPort!.on('message', (job: Job) => {
  try {
    const team = new Team(kernels, memory, sync, id, threads, scratch.panels, native, reporter(job.id));
    const result = perform(team, job);
    reply({
      id: job.id,
      kind: 'done',
      result: id === 0 ? result : undefined,
      stages: id === 0 ? team.stages : undefined,
    });
  } catch (error) {
    if (error instanceof Stopped) reply({ id: job.id, kind: 'stopped' });
    else
      reply({
        id: job.id,
        kind: 'failed',
        message: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
  }
});
