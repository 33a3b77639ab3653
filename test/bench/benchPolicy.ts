import type { BlasPolicy } from '../../src/service/devices/blasPolicy.ts';

/** The library that RANKSCOPE_BLAS names, or the first of the Python that RANKSCOPE_PYTHON names, or of the system. */
export function benchPolicy({ RANKSCOPE_BLAS: path, RANKSCOPE_PYTHON: interpreter } = process.env): BlasPolicy {
  return {
    named: path ? { path, by: 'RANKSCOPE_BLAS', anywhere: true } : undefined,
    interpreter,
    openFolders: [],
  };
}
