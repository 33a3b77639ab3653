import { availableParallelism } from 'node:os';
import type { DeviceRequest } from '../base/deviceInfo.ts';
import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import type { Backend } from './backend.ts';
import { createCpuBackend } from './cpu/backend.ts';
import { createTensorFlowBackend } from './tensorflow/backend.ts';
import { proveCorrect, timeProduct } from './trials.ts';
import { openWebgpu } from './webgpu/open.ts';

type CancellableRequest = DeviceRequest & { readonly signal?: AbortSignal | undefined };

interface Candidate {
  readonly name: string;
  /** What to do if the device is unavailable and the failure itself does not say. */
  readonly remedy: string;
  /**
   * Opens the device, not yet proven; `named` if it was requested by name. @throws with the reason why it is
   * unavailable
   */
  open(threads: number, named: boolean): Promise<Backend> | Backend;
  /** Whether `auto` takes it only if it beats the processor in a trial. */
  readonly mustWin?: boolean;
}

const NEEDS = 'It needs a 64-bit processor with SIMD and Node 20 or newer';

/** In the order that `auto` tries them. */
const CANDIDATES: readonly Candidate[] = [
  {
    name: 'webgpu',
    remedy: 'It needs a GPU with its Vulkan, Metal or D3D12 driver, the npm package webgpu, and a plain Node',
    open: (threads, named) => openWebgpu({ threads, software: named }),
    mustWin: true,
  },
  {
    name: 'tensorflow',
    remedy: 'Install @tensorflow/tfjs-node-gpu, which needs CUDA 11.2 and cuDNN 8.1',
    open: () => createTensorFlowBackend(),
    mustWin: true,
  },
  { name: 'cpu', remedy: NEEDS, open: (threads) => createCpuBackend(threads) },
  // The widest kernels depend on an experimental feature of V8; if they fail their proof, the others are used.
  { name: 'cpu', remedy: NEEDS, open: (threads) => createCpuBackend(threads, { sets: ['relaxed', 'simd'] }) },
];

/**
 * Opens the requested device and proves it on a small product and spectrum; `info.reason` says in one sentence why it
 * was chosen.
 * @throws RankscopeError 'wrong-use' for an unknown name or an invalid number of threads, 'engine' if the device is
 *   unavailable, 'cancelled'
 */
export async function chooseDevice(request: CancellableRequest = {}): Promise<Backend> {
  const { engine = 'auto', signal } = request;
  const { threads, note } = countThreads(request.threads);
  const wanted = engine === 'auto' ? CANDIDATES : CANDIDATES.filter(({ name }) => name === engine);
  if (wanted.length === 0) {
    const names = [...new Set(['auto', ...CANDIDATES.map(({ name }) => name)])].join(', ');
    throw new RankscopeError('wrong-use', `engine "${engine}"`, 'is unknown', `Choose one of ${names}`);
  }
  const refused: string[] = [];
  const remedies = new Set<string>();
  for (const candidate of wanted) {
    throwIfCancelled(signal, 'choosing a device');
    try {
      const backend = await open(candidate, threads, engine !== 'auto', signal);
      const won = engine === 'auto' && candidate.mustWin ? await beatsProcessor(backend, threads) : '';
      return Object.assign(backend, { info: { ...backend.info, reason: reason(engine, backend, refused, note, won) } });
    } catch (error) {
      if (error instanceof RankscopeError && error.code === 'cancelled') throw error;
      // Users need not read about a package that they never installed.
      if (engine === 'auto' && error instanceof RankscopeError && error.code === 'not-found') continue;
      refused.push(`${candidate.name}: ${because(error)}`);
      remedies.add((error instanceof RankscopeError && error.remedy) || candidate.remedy);
    }
  }
  throw new RankscopeError('engine', `engine "${engine}"`, refused.join('; '), [...remedies].join('; '));
}

function because(error: unknown): string {
  if (error instanceof RankscopeError) return error.found;
  return error instanceof Error ? error.message : String(error);
}

async function open(
  candidate: Candidate,
  threads: number,
  named: boolean,
  signal: AbortSignal | undefined,
): Promise<Backend> {
  const backend = await candidate.open(threads, named);
  try {
    await proveCorrect(backend, signal);
  } catch (error) {
    await backend.close();
    throw error;
  }
  return backend;
}

/** A GPU that is only a little faster than the processor loses the gain to transfers. */
const MUST_WIN_BY = 3;

/** Says in words how much faster a backend is than the processor; closes it and throws if that is too little. */
async function beatsProcessor(backend: Backend, threads: number): Promise<string> {
  const cpu = createCpuBackend(threads);
  try {
    const times = (await timeProduct(cpu)) / (await timeProduct(backend));
    if (times >= MUST_WIN_BY) return `, ${Math.round(times)} times as fast as the processor in a trial product`;
    await backend.close();
    throw new RankscopeError('engine', backend.info.name, `${backend.info.device} is no faster than the processor`);
  } finally {
    await cpu.close();
  }
}

function reason(asked: string, { info }: Backend, refused: readonly string[], note: string, won: string): string {
  const threads = `${info.threads} thread${info.threads === 1 ? '' : 's'}${note}`;
  if (asked !== 'auto') return `${info.name}, as requested, on ${threads}.`;
  if (won) return `${info.name} on ${info.device}${won}.`;
  if (refused.length > 0) return `${info.name} on ${threads}, because ${refused.join('; ')}.`;
  return `${info.name} on ${threads}, the fastest device found.`;
}

function countThreads(wanted: number | undefined): { threads: number; note: string } {
  const cores = Math.max(1, availableParallelism());
  if (wanted === undefined) return { threads: cores, note: '' };
  if (!Number.isInteger(wanted) || wanted < 1) {
    throw new RankscopeError(
      'wrong-use',
      `threads ${wanted}`,
      'is not a positive integer',
      'Omit it to use one per core',
    );
  }
  if (wanted <= cores) return { threads: wanted, note: '' };
  return { threads: cores, note: ` (${wanted} were requested, but there are only ${cores} cores)` };
}
