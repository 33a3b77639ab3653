import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type koffiModule from 'koffi';
import type { LibraryHandle } from 'koffi';

type Koffi = typeof koffiModule;

// An optional package with native parts: it is looked for where this file lies, and what needs it fails without it.
const load = createRequire(import.meta.url);
/**
 * Calls run on a stack of koffi's. Its default of 1 MiB is too small for an OpenBLAS built for 128 processors, which
 * keeps a table of all pairs of threads on the stack. Only pages that are used take memory.
 */
const STACK_BYTES = 16 * 2 ** 20;

let loaded: Koffi | undefined;

export function isKoffiInstalled(): boolean {
  try {
    return load.resolve('koffi') !== '';
  } catch {
    return false;
  }
}

/** The foreign function interface. @throws Error where the package is not installed or does not run here */
export function loadKoffi(): Koffi {
  if (loaded) return loaded;
  let koffi: Koffi;
  try {
    koffi = load('koffi') as Koffi;
  } catch (error) {
    throw new Error(`the npm package koffi is unavailable (${firstLine(error)})`);
  }
  koffi.config({ ...koffi.config(), sync_stack_size: STACK_BYTES });
  loaded = koffi;
  return koffi;
}

/** More libraries than any depends on. */
const MOST_NEEDED = 16;

/**
 * Loads a shared library, and before it those that it needs and that lie beside it: the wheels of older NumPys find
 * them only through NumPy itself. @throws Error with the words of the system's loader
 */
export function loadLibrary(path: string, left = MOST_NEEDED): LibraryHandle {
  const koffi = loadKoffi();
  for (; ; left--)
    try {
      return koffi.load(path);
    } catch (error) {
      const missing = /([^\s:/]+): cannot open shared object file/.exec(String(error))?.[1];
      const beside = missing && join(dirname(path), missing);
      if (left === 0 || !beside || beside === path || !existsSync(beside)) throw error;
      // The loader knows it by its name from now on.
      loadLibrary(beside, left - 1);
    }
}

const firstLine = (error: unknown) => (error instanceof Error ? error.message : String(error)).split('\n')[0];
