/** What each BLAS reads when it is loaded to learn how many threads it may use. */
const COUNTS = [
  'OPENBLAS_NUM_THREADS',
  'GOTO_NUM_THREADS',
  'MKL_NUM_THREADS',
  'BLIS_NUM_THREADS',
  'OMP_NUM_THREADS',
  'VECLIB_MAXIMUM_THREADS',
  'NVPL_BLAS_NUM_THREADS',
];

/** The environment under which a BLAS uses this many threads. It must be set before the library is loaded. */
export function threadEnvironment(threads: number): Record<string, string> {
  const counts = Object.fromEntries(COUNTS.map((name) => [name, String(threads)]));
  // One thread needs no OpenMP runtime, which may be missing, or be another one than that of the process.
  return threads === 1 ? { ...counts, MKL_THREADING_LAYER: 'SEQUENTIAL' } : { ...counts, MKL_DYNAMIC: 'FALSE' };
}

/** Runs `work` with variables of this process set, or removed where undefined: programs started later find the old. */
export async function withEnvironment<Result>(
  variables: Readonly<Record<string, string | undefined>>,
  work: () => Promise<Result>,
): Promise<Result> {
  const before = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]));
  set(variables);
  try {
    return await work();
  } finally {
    set(before);
  }
}

function set(variables: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(variables))
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
}
