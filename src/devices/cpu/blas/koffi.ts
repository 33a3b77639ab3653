import { createRequire } from 'node:module';
import type koffiModule from 'koffi';

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

const firstLine = (error: unknown) => (error instanceof Error ? error.message : String(error)).split('\n')[0];
