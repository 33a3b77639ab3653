import type { DeviceInfo, DeviceRequest } from '../../base/deviceInfo.ts';
import { RankscopeError } from '../../base/errors.ts';
import type { Pause } from '../../base/eventLoop.ts';
import type { Backend } from '../../devices/backend.ts';
import { chooseDevice } from '../../devices/choose.ts';
import { SharedHandles } from '../sharedHandles.ts';
import { JobQueue } from './jobQueue.ts';

/** After this time without use, a device returns its threads and memory. */
const IDLE_MS = 60_000;
/** A job that takes less than this is not worth starting a device for. */
const START_MS = 50;

/** Bytes that the matrices in all lanes may take together with their workspaces. */
const LANES_BYTES = 256 * 2 ** 20;
/** What one takes with its workspace, at most, as a multiple of its size: all its values, or its triplets. */
const WITH_WORKSPACE = { values: 2, triplets: 4 };

interface Running {
  readonly backend: Backend;
  readonly queue: JobQueue;
}

export interface JobOptions {
  readonly signal?: AbortSignal | undefined;
  /** A person is waiting for this job: it takes precedence over those of an analysis. */
  readonly urgent?: boolean;
  /** Whether it may run beside other jobs, on one thread: see `fitsLane`. */
  readonly beside?: boolean;
}

/** Whether a matrix is small enough for as many of its size to be computed side by side. */
export const fitsLane = (
  { rows, cols }: { readonly rows: number; readonly cols: number },
  lanes: number,
  what: keyof typeof WITH_WORKSPACE,
): boolean => lanes > 1 && rows * cols * 4 * WITH_WORKSPACE[what] * lanes <= LANES_BYTES;

/** The devices in use. Each computes one large matrix at a time, or several small ones. */
export class Devices {
  private readonly running = new SharedHandles<Running>({
    close: ({ backend }) => backend.close(),
    keep: 1,
    idleMs: IDLE_MS,
  });
  private last: DeviceRequest = {};

  constructor(
    private readonly log: (line: string) => void,
    private readonly choose: (request: DeviceRequest) => Promise<Backend> = chooseDevice,
  ) {}

  /** `request`, or if it names nothing, the last request: a single click must not start another device. */
  settle({ engine, threads }: DeviceRequest = {}): DeviceRequest {
    if (engine === undefined && threads === undefined) return this.last;
    this.last = { ...(engine === undefined ? {} : { engine }), ...(threads === undefined ? {} : { threads }) };
    return this.last;
  }

  /**
   * Starts the device of `request` while `job` runs, unless that ends soon: the directory of a huge checkpoint takes
   * seconds to read, and so may a device to start. A device that fails tells so when it is used.
   */
  async startDuring<Result>(request: DeviceRequest | undefined, job: Promise<Result>): Promise<Result> {
    if (!request) return job;
    const start = () => void this.hold(this.settle(request), undefined, async () => undefined).catch(() => undefined);
    const timer = setTimeout(start, START_MS);
    try {
      return await job;
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Keeps the device of `request` open while `job` runs, so that it is not restarted for every matrix.
   * @param job receives how many jobs the device runs side by side if they allow it, at least 1
   */
  hold<Result>(
    request: DeviceRequest,
    signal: AbortSignal | undefined,
    job: (info: DeviceInfo, lanes: number) => Promise<Result>,
  ): Promise<Result> {
    return this.use(request, signal, ({ backend }) => job(backend.info, backend.lanes?.count ?? 1));
  }

  /**
   * Runs `job` on the device of `request` when its turn comes. A device that fails is closed and the job retried once
   * on the device chosen then: losing a device costs time, not the analysis. What is too large for a GPU that was not
   * requested by name runs on the processor, which has more memory. A job of more than seconds awaits `letUrgent`
   * between its steps, so that nobody waits for its end.
   */
  async run<Result>(
    request: DeviceRequest,
    subject: string,
    options: JobOptions,
    job: (backend: Backend, letUrgent: Pause) => Promise<Result>,
  ): Promise<Result> {
    let used: Running | undefined;
    const attempt = (wanted = request) =>
      this.use(wanted, options.signal, (running) => {
        used = running;
        const { backend, queue } = running;
        const letUrgent = () => queue.letUrgent(subject, options.signal);
        return queue.run(
          subject,
          (lane) => (lane === undefined ? job(backend, letUrgent) : job(backend.lanes!.at(lane), () => undefined)),
          options,
        );
      });
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof RankscopeError)) throw error;
      if (error.code === 'too-large' && used?.backend.info.name !== 'cpu' && (request.engine ?? 'auto') === 'auto') {
        this.log(`Too large for ${used?.backend.info.name}, computed on the processor: ${error.message}`);
        return attempt({ ...request, engine: 'cpu' });
      }
      if (error.code !== 'engine') throw error;
      this.log(`The device failed and is restarted: ${error.message}`);
      // Others in lanes beside this job may have failed with it, and one of them may have opened the next device.
      this.running.evict(keyOf(request), used);
      return attempt();
    }
  }

  close(): Promise<void> {
    return this.running.close();
  }

  private use<Result>(
    request: DeviceRequest,
    signal: AbortSignal | undefined,
    job: (running: Running) => Promise<Result>,
  ): Promise<Result> {
    const open = async () => {
      const backend = await this.choose(request);
      const { name, device, threads, reason } = backend.info;
      this.log(`Engine ${name}: ${device}, ${threads} threads. ${reason}`);
      return { backend, queue: new JobQueue(backend.lanes?.count) };
    };
    return this.running.use(keyOf(request), open, job, signal);
  }
}

function keyOf({ engine = 'auto', threads = 0 }: DeviceRequest): string {
  return `${engine} ${threads}`;
}
