import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { cpus } from 'node:os';
import { delimiter, isAbsolute } from 'node:path';
import { openFolderOf, realPath } from '../../../files/openFolders.ts';
import { foreignBinary, HEADER_BYTES } from './binary.ts';
import type { Blas } from './blas.ts';
import { ACCELERATE, candidates } from './candidates.ts';
import { isKoffiInstalled } from './koffi.ts';
import { Memory, stampOf } from './memory.ts';
import { type BlasPolicy, isNone } from './policy.ts';
import { PROBE_MS, probe, probeScript } from './probe.ts';
import { PYTHON_MS } from './python.ts';
import { loaderTrap } from './searchPaths.ts';

export interface FoundBlas {
  readonly blas?: Required<Blas> | undefined;
  /** A clause for each library or interpreter that was tried before it and not used. */
  readonly refused: readonly string[];
}

export interface FindLimits {
  /** Milliseconds that a probe may take, and an interpreter. */
  readonly probe: number;
  readonly python: number;
  /** How many times as fast as the kernels a library must be. */
  readonly mustWinBy: number;
  /** The same of one that the user named. */
  readonly namedMustWinBy: number;
}

/**
 * A library that is only a little faster than the kernels is not worth its risk. One that the user named is used unless
 * it is slower, with a margin for a trial that another program disturbed.
 */
export const LIMITS: FindLimits = { probe: PROBE_MS, python: PYTHON_MS, mustWinBy: 1.2, namedMustWinBy: 0.8 };
/** Libraries that are tried at most. */
const MOST = 8;
/** By so much the library's own threads must beat ours, which also share out the work between products. */
const LIBRARY_WINS_BY = 1.25;
/** Where so much of each thread of ours counts, the library's own threads have nothing to add. */
const SHARED_WELL = 0.5;

/**
 * The first BLAS that proves correct and, unless the user named it, clearly faster than the kernels with this number of
 * threads, in the order: the one that the user named, Accelerate, those of the interpreter, those of the system.
 */
export async function findBlas(policy: BlasPolicy, threads: number, limits = LIMITS): Promise<FoundBlas> {
  const { named, openFolders } = policy;
  if (policy.denied !== undefined) return { refused: [policy.denied] };
  if (named !== undefined && isNone(named.path)) return { refused: [`${named.by} is "${named.path}"`] };
  if (!isKoffiInstalled()) return { refused: ['the npm package koffi, which calls libraries, is not installed'] };
  const trap = loaderTrap(process.env, delimiter, openFolders);
  if (trap !== undefined) return { refused: [trap] };
  const memory = new Memory(policy.cacheFolder);
  const refused: string[] = [];
  const seen = new Set<string>();
  let tries = 0;
  for await (const library of candidates(policy, memory, (reason) => refused.push(reason), limits.python)) {
    const isNamed = library.path === named?.path;
    const path = library.path === ACCELERATE ? ACCELERATE : realPath(library.path);
    if (seen.has(path)) continue;
    seen.add(path);
    const open = isNamed && named?.anywhere ? [] : openFolders;
    const unfit = whyUnfit(library.path, open);
    if (unfit === undefined && ++tries > MOST) break;
    const own = isNamed ? { ...limits, mustWinBy: limits.namedMustWinBy } : limits;
    const verdict = unfit ?? (await tried(path, threads, memory, own));
    if ('reason' in verdict) refused.push(`${library.path} ${verdict.reason}`);
    else return { blas: { ...verdict, path, source: library.source }, refused };
  }
  return { refused: refused.length > 0 ? refused : ['no BLAS was found'] };
}

/** Why a file need not be tried. */
function whyUnfit(path: string, openFolders: readonly string[]): Refusal | undefined {
  if (path === ACCELERATE) return undefined;
  if (!isAbsolute(path)) return { reason: 'is not an absolute path' };
  if (openFolderOf(path, openFolders) !== undefined) return { reason: 'lies in an open folder' };
  try {
    // A named pipe would be waited for.
    if (!statSync(path).isFile()) return { reason: 'is not a file' };
    const reason = foreignBinary(headerOf(path));
    return reason === undefined ? undefined : { reason };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { reason: code === 'ENOENT' ? 'does not exist' : `cannot be read: ${message}` };
  }
}

function headerOf(path: string): Uint8Array {
  const file = openSync(path, 'r');
  try {
    const header = new Uint8Array(HEADER_BYTES);
    return header.subarray(0, readSync(file, header, 0, HEADER_BYTES, 0));
  } finally {
    closeSync(file);
  }
}

interface Refusal {
  readonly reason: string;
  /** The library is not to blame, so that it is tried again next time. */
  readonly passing?: true;
}
type Verdict = Refusal | Omit<Required<Blas>, 'path' | 'source'>;

/** The verdict of a probe, which is remembered for as long as file, machine and checks are the same. */
async function tried(path: string, threads: number, memory: Memory, limits: FindLimits): Promise<Verdict> {
  const machine = [cpus()[0]?.model ?? '', process.arch, threads];
  const key = JSON.stringify(['blas', path, stampOf(path), ...machine, stampOf(probeScript()), limits.mustWinBy]);
  const known = memory.get(key, isVerdict, (verdict) => ('reason' in verdict ? 24 : Number.POSITIVE_INFINITY));
  if (known !== undefined) return known;
  const verdict = await judge(path, threads, limits);
  if (!('passing' in verdict)) memory.set(key, verdict);
  return verdict;
}

async function judge(path: string, threads: number, { probe: limit, mustWinBy }: FindLimits): Promise<Verdict> {
  const ours = await probe({ path, threads, threading: 'workers' }, limit);
  if (ours.kind === 'failed') return { reason: `could not be tried: ${ours.reason}`, passing: true };
  if (ours.kind === 'refused') return { reason: ours.reason };
  const { symbol, name, kernels, alone, multipliesInPlace } = ours;
  const again = async (threading: Blas['threading'], beat?: number) => {
    const proof = await probe({ path, threads, threading, again: { kernels, beat } }, limit);
    return proof.kind === 'proven' ? proof : { library: Number.MAX_VALUE, values: undefined };
  };
  let [threading, best]: [Blas['threading'], number] = ['workers', ours.library];
  // Even if its threads shared the work perfectly, a slow library would stay slow. A unit that several cores share, as
  // on a Mac, is as fast for one thread.
  const isShared = alone < SHARED_WELL * threads * ours.library;
  if (threads > 1 && isShared && kernels * threads > best * mustWinBy) {
    // Its threads take turns with ours in a decomposition, and may look for work while ours need the processor: a
    // product alone does not tell.
    const theirs = await again('library', best);
    const wins = async () => {
      const { values = Number.MAX_VALUE } = await again('workers');
      return (theirs.values ?? Number.MAX_VALUE) * LIBRARY_WINS_BY < values;
    };
    // Another program may have disturbed a trial.
    if (theirs.values !== undefined && (await wins()) && (await wins()))
      [threading, best] = ['library', theirs.library];
  }
  const timesAsFast = kernels / best;
  if (timesAsFast >= mustWinBy) return { symbol, name, threading, timesAsFast, multipliesInPlace };
  return { reason: `(${name}) is only ${timesAsFast.toFixed(1)} times as fast as the WASM kernels` };
}

function isVerdict(value: unknown): value is Verdict {
  const verdict = (value ?? {}) as Record<string, unknown>;
  if (typeof verdict.reason === 'string') return true;
  const { symbol, name, threading, timesAsFast, multipliesInPlace } = verdict;
  return (
    typeof symbol === 'string' &&
    typeof name === 'string' &&
    (threading === 'workers' || threading === 'library') &&
    typeof timesAsFast === 'number' &&
    typeof multipliesInPlace === 'boolean'
  );
}
