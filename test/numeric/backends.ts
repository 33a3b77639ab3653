import { existsSync } from 'node:fs';
import type { Backend } from '../../src/devices/backend.ts';
import { createReferenceBackend } from '../../src/devices/reference/backend.ts';

/** A device that the case table runs on. */
export interface BackendUnderTest {
  readonly name: string;
  /** f64 multiplications that a case may cost; larger cases are left to the faster devices. */
  readonly workLimit: number;
  /** Side of a square matrix whose SVD takes long enough to be cancelled midway. */
  readonly longSide: number;
  /** Error allowed in singular vectors, in tolerances. Default 1. */
  readonly vectorSlack?: number;
  /** Whether a processor plays the device, a hundred times as slowly. */
  readonly emulated?: boolean;
  open(): Promise<Backend>;
}

const chosen = (engine: string) => async () => {
  const { chooseDevice } = await import('../../src/devices/choose.ts');
  return chooseDevice({ engine });
};

/** Chromium brings a GPU emulated by the processor, the only one on a test machine. */
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

export function useSoftwareGpu(): void {
  if (existsSync(SWIFTSHADER)) process.env.VK_ICD_FILENAMES ??= SWIFTSHADER;
}

async function onSoftwareGpu(): Promise<Backend> {
  useSoftwareGpu();
  return await chosen('webgpu')();
}

async function onBlas(): Promise<Backend> {
  const { chooseDevice } = await import('../../src/devices/choose.ts');
  const { findBlas, LIMITS } = await import('../../src/devices/cpu/blas/find.ts');
  const { editorPolicy } = await import('../../src/service/devices/blasPolicy.ts');
  const policy = editorPolicy({ interpreter: process.env.RANKSCOPE_PYTHON, openFolders: [] });
  const backend = await chooseDevice({ engine: 'cpu', blas: policy }, async (wanted, threads) => {
    const { blas, refused } = await findBlas(wanted, threads, { ...LIMITS, mustWinBy: 0, namedMustWinBy: 0 });
    // So fast that it is given all that it may be given.
    return { blas: blas && { ...blas, timesAsFast: 10, multipliesInPlace: true }, refused };
  });
  if (!/times as fast/.test(backend.info.reason)) throw new Error(`no BLAS: ${backend.info.reason}`);
  return Object.assign(backend, { info: { ...backend.info, name: 'blas' } });
}

const KNOWN: readonly BackendUnderTest[] = [
  {
    name: 'reference',
    workLimit: 1.2e7,
    longSide: 200,
    open: async () => createReferenceBackend(),
  },
  {
    name: 'cpu',
    workLimit: Number.POSITIVE_INFINITY,
    longSide: 2000,
    open: chosen('cpu'),
  },
  // With the BLAS of the reference Python, whatever its speed. RANKSCOPE_BLAS takes precedence over it.
  {
    name: 'blas',
    // Without the statistics of previews, which take a minute and do not depend on who multiplies.
    workLimit: 1e9,
    longSide: 2000,
    open: onBlas,
  },
  // On a GPU emulated by the processor, as on a test machine. Vulkan allows a division to be off by 2.5 ulp.
  { name: 'webgpu', workLimit: 6e6, longSide: 400, vectorSlack: 2, emulated: true, open: onSoftwareGpu },
  {
    name: 'tensorflow',
    // Eigen's vectors are a little less accurate than ours.
    vectorSlack: 2,
    workLimit: Number.POSITIVE_INFINITY,
    longSide: 2000,
    open: chosen('tensorflow'),
  },
];

/**
 * The devices named in RANKSCOPE_TEST_ENGINES (comma-separated), by default the two that run everywhere. A named device
 * that cannot be opened fails the run.
 */
export const BACKENDS: readonly BackendUnderTest[] = (process.env.RANKSCOPE_TEST_ENGINES ?? 'reference,cpu')
  .split(',')
  .map((name) => {
    const backend = KNOWN.find((known) => known.name === name.trim());
    if (!backend) throw new Error(`RANKSCOPE_TEST_ENGINES names ${name}, which is none of ${KNOWN.map((k) => k.name)}`);
    return backend;
  });
