import { existsSync } from 'node:fs';
import type { Backend } from '../../src/devices/backend.ts';
import { createReferenceBackend } from '../../src/devices/reference/backend.ts';

/** An engine the case table runs over. */
export interface BackendUnderTest {
  readonly name: string;
  /** Multiplications of f64 numbers that one case may cost; larger cases are left to the engines made for them. */
  readonly workLimit: number;
  /** Side of a square matrix whose SVD takes long enough to be cancelled in the middle. */
  readonly longSide: number;
  /** Times the tolerance that its singular vectors may be off; 1 where left out. */
  readonly vectorSlack?: number;
  open(): Promise<Backend>;
}

const chosen = (engine: string) => async () => {
  const { chooseDevice } = await import('../../src/devices/choose.ts');
  return chooseDevice({ engine });
};

/** Chromium brings a GPU that the processor imitates; a test machine has no other. */
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json';

export function useSoftwareGpu(): void {
  if (existsSync(SWIFTSHADER)) process.env.VK_ICD_FILENAMES ??= SWIFTSHADER;
}

async function onSoftwareGpu(): Promise<Backend> {
  useSoftwareGpu();
  return await chosen('webgpu')();
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
  // On a GPU that the processor imitates, which is what a test machine has. Vulkan lets a division be 2.5 units off.
  { name: 'webgpu', workLimit: 6e6, longSide: 400, vectorSlack: 2, open: onSoftwareGpu },
  {
    name: 'tensorflow',
    // The vectors are Eigen's, and a little further off than ours.
    vectorSlack: 2,
    workLimit: Number.POSITIVE_INFINITY,
    longSide: 2000,
    open: chosen('tensorflow'),
  },
];

/**
 * The engines that RANKSCOPE_TEST_ENGINES names (comma-separated); the two that run everywhere where it is not set. One that is named and
 * cannot be opened fails the run.
 */
export const BACKENDS: readonly BackendUnderTest[] = (process.env.RANKSCOPE_TEST_ENGINES ?? 'reference,cpu')
  .split(',')
  .map((name) => {
    const backend = KNOWN.find((known) => known.name === name.trim());
    if (!backend) throw new Error(`RANKSCOPE_TEST_ENGINES names ${name}, which is none of ${KNOWN.map((k) => k.name)}`);
    return backend;
  });
