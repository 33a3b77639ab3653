import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { RankscopeError } from '../../base/errors.ts';
import { asset } from '../assets.ts';
import type { Backend } from '../backend.ts';
import { createCpuBackend } from '../cpu/backend.ts';
import { createWebgpuBackend } from './backend.ts';
import { openGpu } from './device.ts';

export interface WebgpuRequest {
  /** Threads for the steps that run on the processor. */
  readonly threads: number;
  /** Whether to accept a GPU that the processor emulates: correct, but slower than the cpu backend. */
  readonly software: boolean;
  /** Bytes per binding; tests use it to split matrices over several buffers. */
  readonly bindingBytes?: number;
}

/** The webgpu backend on the fastest adapter. @throws RankscopeError 'engine' with the reason if there is none. */
export async function openWebgpu({ threads, software, bindingBytes }: WebgpuRequest): Promise<Backend> {
  refuseWithoutDevice(software);
  const gpu = await openGpu();
  if (gpu.software && !software) {
    gpu.device.destroy();
    throw new RankscopeError('engine', 'webgpu', `the only adapter, ${gpu.description}, is emulated by the processor`);
  }
  const cpu = createCpuBackend(threads);
  const backend = createWebgpuBackend(gpu, {
    source: async (file) => await readFile(asset(`webgpu/${file}.wgsl`), 'utf8'),
    processor: {
      bidiagonalValues: (matrix, options) => cpu.bidiagonalValues(matrix, options),
      bidiagonalTriplets: (matrix, rank, options) => cpu.bidiagonalTriplets(matrix, rank, options),
    },
    reason: '',
    ...(bindingBytes !== undefined && { bindingBytes }),
  });
  return {
    ...backend,
    async close() {
      await Promise.all([backend.close(), cpu.close()]);
    },
  };
}

const DEVICES = ['/dev/dri', '/dev/nvidiactl', '/dev/dxg', '/dev/kfd', '/dev/mali0'];
/** Folders in which Vulkan drivers are registered, including those of emulated GPUs. */
const DRIVER_LISTS = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d'];

/** Dawn prints warnings to the terminal on a Linux without a GPU; checking first avoids them. */
function refuseWithoutDevice(software: boolean): void {
  if (process.platform !== 'linux' || DEVICES.some((device) => existsSync(device))) return;
  const named = process.env.VK_ICD_FILENAMES ?? process.env.VK_DRIVER_FILES;
  if (
    software &&
    (named !== undefined || DRIVER_LISTS.some((folder) => existsSync(folder) && readdirSync(folder).length > 0))
  )
    return;
  throw new RankscopeError('engine', 'webgpu', 'this machine has no GPU device');
}
