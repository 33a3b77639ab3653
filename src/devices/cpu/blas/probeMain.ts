// A process of its own that loads a BLAS, checks its products and times them, so that a library which crashes, hangs or
// writes where it must not does no harm. It answers over its IPC channel.
import { basename } from 'node:path';
import type { LibraryHandle } from 'koffi';
import { proveProducts, proveSteady, timeProduct, timeValues } from '../../trials.ts';
import { createCpuBackend } from '../backend.ts';
import type { Blas } from './blas.ts';
import { CHECK_BYTES, flushesDenormals, wrongProduct } from './checkSgemm.ts';
import { loadKoffi, loadLibrary } from './koffi.ts';
import { findSgemm, nameOf, type Probed } from './names.ts';
import type { ProbeMessage, ProbeTask, Proof } from './probeMessages.ts';
import { ARGUMENT_BYTES, openSgemm } from './sgemm.ts';
import { aloneBytes, timeAlone } from './timeAlone.ts';

class Refused extends Error {}

const START = 4096;

/** Large enough to fill the threads, small enough that a person who waits does not notice. */
const TRIAL = 640;
const PAGES = Math.ceil((START + ARGUMENT_BYTES + Math.max(CHECK_BYTES, aloneBytes(TRIAL))) / 65536);
/** The best of several counts, because other programs take their share. */
const RUNS = 6;
/** Threads of a library that wait for each other on a busy machine can take a second. */
const FIRST_RUNS = 2;

const send = (message: ProbeMessage) => new Promise<void>((sent) => process.send?.(message, () => sent()));

void probe(JSON.parse(process.argv[2] ?? '{}') as ProbeTask)
  .then((proof) => send({ kind: 'proven', ...proof }))
  .catch((error: unknown) => send({ kind: error instanceof Refused ? 'refused' : 'failed', reason: textOf(error) }))
  .then(() => send({ kind: 'step', step: 'leaving' }))
  .finally(() => process.exit(0));

async function probe({ path, threads, threading, again }: ProbeTask): Promise<Proof> {
  await send({ kind: 'step', step: 'loading' });
  const library = load(path);
  if (flushesDenormals()) throw new Refused('makes this process lose the smallest numbers');
  const probed = probedLibrary(library);
  const symbol = findSgemm(probed);
  if (symbol === undefined) throw new Refused('has no sgemm under any known name');
  await send({ kind: 'step', step: 'multiplying' });
  const alone = threading === 'workers' ? checkAlone(path, symbol, !again) : NOT_TIMED;
  if (flushesDenormals()) throw new Refused('makes this process lose the smallest numbers');
  const blas: Blas = { path, symbol, name: nameOf(probed, basename(path)), source: '', threading };
  return { symbol, name: blas.name, ...alone, ...(await checkTeam(blas, threads, again)) };
}

function load(path: string): LibraryHandle {
  loadKoffi();
  try {
    return loadLibrary(path);
  } catch (error) {
    throw new Refused(`could not be loaded: ${textOf(error)}`);
  }
}

const NOT_TIMED = { alone: 0, multipliesInPlace: false };

function checkAlone(path: string, symbol: string, isTimed: boolean): Pick<Proof, 'alone' | 'multipliesInPlace'> {
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
  const sgemm = openSgemm(path, symbol, memory, START);
  const wrong = wrongProduct(sgemm, memory, START + ARGUMENT_BYTES);
  if (wrong !== undefined) throw new Refused(`computes wrong products (${wrong})`);
  return isTimed ? timeAlone(sgemm, START + ARGUMENT_BYTES, TRIAL) : NOT_TIMED;
}

/** Checks and times the library on the same threads that would use it. */
async function checkTeam(blas: Blas, threads: number, again: ProbeTask['again']) {
  const backend = createCpuBackend(threads, { blas });
  try {
    if (again?.beat !== undefined) {
      const library = await timeProduct(backend, TRIAL, FIRST_RUNS);
      if (library > again.beat) return { library, kernels: again.kernels };
    }
    await proveProducts(backend)
      .then(() => proveSteady(backend))
      .catch((error: unknown) => {
        throw new Refused(`fails on ${threads} threads: ${textOf(error)}`);
      });
    const library = await timeProduct(backend, TRIAL, RUNS);
    if (!again) return { library, kernels: await timeKernels(threads) };
    return { library, kernels: again.kernels, values: await timeValues(backend, TRIAL, FIRST_RUNS) };
  } finally {
    await backend.close();
  }
}

async function timeKernels(threads: number): Promise<number> {
  const backend = createCpuBackend(threads);
  try {
    return await timeProduct(backend, TRIAL, RUNS);
  } finally {
    await backend.close();
  }
}

function probedLibrary(library: LibraryHandle): Probed {
  const has = (symbol: string) => {
    try {
      library.symbol(symbol);
      return true;
    } catch {
      return false;
    }
  };
  return {
    has,
    text: (symbol) => (library.func(symbol, 'str', [])() as string | null) ?? '',
    written(symbol) {
      const buffer = Buffer.alloc(256);
      library.func(symbol, 'void', ['void *', 'int'])(buffer, buffer.length - 1);
      return buffer.toString('latin1').split('\0')[0] ?? '';
    },
  };
}

function textOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, ' ').slice(0, 300);
}
