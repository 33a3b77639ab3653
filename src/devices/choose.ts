import { availableParallelism } from 'node:os';
import type { DeviceInfo, DeviceRequest } from '../base/deviceInfo.ts';
import { RankscopeError, throwIfCancelled } from '../base/errors.ts';
import type { Backend } from './backend.ts';
import { createCpuBackend } from './cpu/backend.ts';
import { type FoundBlas, findBlas } from './cpu/blas/find.ts';
import type { BlasPolicy } from './cpu/blas/policy.ts';
import { threadEnvironment, withEnvironment } from './cpu/blas/threads.ts';
import { createTensorFlowBackend } from './tensorflow/backend.ts';
import { proveCorrect, proveProducts, timeProduct } from './trials.ts';
import { openWebgpu } from './webgpu/open.ts';

interface CancellableRequest extends DeviceRequest {
  readonly signal?: AbortSignal | undefined;
  /** Which native libraries the processor may use for products; none by default. */
  readonly blas?: BlasPolicy | undefined;
}

/** What a device is opened with. */
interface Opening {
  readonly threads: number;
  /** Whether the device was requested by name. */
  readonly named: boolean;
  readonly blas: FoundBlas['blas'];
}

interface Candidate {
  readonly name: string;
  /** What to do if the device is unavailable and the failure itself does not say. */
  readonly remedy: string;
  /** Opens the device, not yet proven. @throws with the reason why it is unavailable */
  open(opening: Opening): Promise<Backend> | Backend;
  /** Whether `auto` takes it only if it beats the processor in a trial. */
  readonly mustWin?: boolean;
  /** Whether it is tried only where a BLAS was found. */
  readonly needsBlas?: boolean;
  /** Whether `auto` passes it over. */
  readonly onlyByName?: boolean;
}

const NEEDS = 'It needs a 64-bit processor with SIMD and Node 20 or newer';

/** In the order that `auto` tries them. */
const CANDIDATES: readonly Candidate[] = [
  {
    name: 'webgpu',
    remedy: 'It needs a GPU with its Vulkan, Metal or D3D12 driver, the npm package webgpu, and a plain Node',
    open: ({ threads, named }) => openWebgpu({ threads, software: named }),
    mustWin: true,
  },
  {
    name: 'tensorflow',
    remedy: 'Install @tensorflow/tfjs-node-gpu, which needs CUDA 11.2 and cuDNN 8.1',
    open: () => createTensorFlowBackend(),
    mustWin: true,
  },
  { name: 'cpu', remedy: NEEDS, open: openWithBlas, needsBlas: true },
  ...['cpu', 'wasm'].flatMap((name): Candidate[] => {
    const common = { name, remedy: NEEDS, onlyByName: name === 'wasm' };
    return [
      { ...common, open: ({ threads }) => createCpuBackend(threads) },
      // The widest kernels depend on an experimental feature of V8; if they fail their proof, the others are used.
      { ...common, open: ({ threads }) => createCpuBackend(threads, { sets: ['relaxed', 'simd'] }) },
    ];
  }),
];

function openWithBlas({ threads, blas }: Opening): Promise<Backend> {
  if (blas === undefined) throw new Error('no BLAS');
  // The library reads it when it is loaded, by the worker threads, and at its first product.
  return withEnvironment(threadEnvironment(blas.threading === 'workers' ? 1 : threads), async () => {
    const backend = createCpuBackend(threads, { blas });
    try {
      await proveProducts(backend);
      return backend;
    } catch (error) {
      await backend.close();
      throw error;
    }
  });
}

/**
 * Opens the requested device and proves it on small products and a spectrum; `info.reason` says in one sentence why it
 * was chosen, and of the processor, which BLAS it uses and why.
 * @throws RankscopeError 'wrong-use' for an unknown name or an invalid number of threads, 'engine' if the device is
 *   unavailable, 'cancelled'
 */
export async function chooseDevice(request: CancellableRequest = {}, find = findBlas): Promise<Backend> {
  const { engine = 'auto', signal } = request;
  const { threads, note } = countThreads(request.threads);
  const wanted = CANDIDATES.filter(({ name, onlyByName }) => (engine === 'auto' ? !onlyByName : name === engine));
  if (wanted.length === 0) {
    const names = [...new Set(['auto', ...CANDIDATES.map(({ name }) => name)])].join(', ');
    throw new RankscopeError('wrong-use', `engine "${engine}"`, 'is unknown', `Choose one of ${names}`);
  }
  const search = request.blas && wanted.some(({ needsBlas }) => needsBlas) ? request.blas : undefined;
  let found: FoundBlas | undefined =
    search && (await find(search, threads).catch((error: unknown) => ({ refused: [because(error)] })));
  const refused: string[] = [];
  const remedies = new Set<string>();
  for (const candidate of wanted) {
    throwIfCancelled(signal, 'choosing a device');
    const opening: Opening = { threads, named: engine !== 'auto', blas: found?.blas };
    if (candidate.needsBlas && opening.blas === undefined) continue;
    try {
      const backend = await open(candidate, opening, signal);
      const won = engine === 'auto' && candidate.mustWin ? await beatsProcessor(backend, opening) : '';
      const info = { ...backend.info, name: candidate.name };
      const products = candidate.name === 'cpu' && found ? productsOf(found) : '';
      return Object.assign(backend, { info: { ...info, reason: reason(engine, info, refused, note, won, products) } });
    } catch (error) {
      if (error instanceof RankscopeError && error.code === 'cancelled') throw error;
      // It was there when it was tried, and is gone, or another one now.
      if (candidate.needsBlas && found?.blas) {
        found = { refused: [...found.refused, `${found.blas.path} proved correct but failed then: ${because(error)}`] };
        continue;
      }
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

async function open(candidate: Candidate, opening: Opening, signal: AbortSignal | undefined): Promise<Backend> {
  const backend = await candidate.open(opening);
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
async function beatsProcessor(backend: Backend, opening: Opening): Promise<string> {
  const cpu = opening.blas ? await openWithBlas(opening) : createCpuBackend(opening.threads);
  try {
    const times = (await timeProduct(cpu)) / (await timeProduct(backend));
    if (times >= MUST_WIN_BY) return `, ${Math.round(times)} times as fast as the processor in a trial product`;
    await backend.close();
    throw new RankscopeError('engine', backend.info.name, `${backend.info.device} is no faster than the processor`);
  } finally {
    await cpu.close();
  }
}

function reason(
  asked: string,
  info: DeviceInfo,
  refused: readonly string[],
  note: string,
  won: string,
  products: string,
): string {
  const threads = `${info.threads} thread${info.threads === 1 ? '' : 's'}${note}${products}`;
  if (asked !== 'auto') return `${info.name}, as requested, on ${threads}.`;
  if (won) return `${info.name} on ${info.device}${won}.`;
  if (refused.length > 0) return `${info.name} on ${threads}, because ${refused.join('; ')}.`;
  return `${info.name} on ${threads}, the fastest device found.`;
}

/** Says in words which BLAS computes products, and why that one or none. */
function productsOf({ blas, refused }: FoundBlas): string {
  if (!blas) return ` with WASM kernels (${refused.join('; ')})`;
  const { name, source, path, threading, timesAsFast } = blas;
  const whose = threading === 'workers' ? '' : ' on its own threads';
  const others = refused.length > 0 ? `; ${refused.join('; ')}` : '';
  return ` with ${name} from ${source}${whose}, ${timesAsFast.toFixed(1)} times as fast as the WASM kernels (${path}${others})`;
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
