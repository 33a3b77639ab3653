import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { RankscopeError } from '../../base/errors.ts';
import { asset } from '../assets.ts';
import type { Backend } from '../backend.ts';
import { createCpuBackend } from '../cpu/backend.ts';
import { createWebgpuBackend } from './backend.ts';
import { openGpu } from './device.ts';

export interface WebgpuRequest {
  /** Threads for the last steps, which run on the processor. */
  readonly threads: number;
  /** Whether a GPU that the processor imitates will do: right, but slower than the cpu engine. */
  readonly software: boolean;
  /** Bytes a binding may have; tests force matrices over several buffers with it. */
  readonly bindingBytes?: number;
}

/** The webgpu engine on the fastest adapter. @throws RankscopeError 'engine' with the reason why there is none */
export async function openWebgpu({ threads, software, bindingBytes }: WebgpuRequest): Promise<Backend> {
  refuseWithoutDevice(software);
  const gpu = await openGpu();
  if (gpu.software && !software) {
    gpu.device.destroy();
    throw new RankscopeError('engine', 'webgpu', `the only adapter, ${gpu.description}, is imitated by the processor`);
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
/** Where Vulkan drivers are listed, those of GPUs that a processor imitates among them. */
const DRIVER_LISTS = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d'];

/** Dawn writes warnings to the terminal where Linux has no GPU; a look at what is there spares people these. */
function refuseWithoutDevice(software: boolean): void {
  if (process.platform !== 'linux' || DEVICES.some((device) => existsSync(device))) return;
  const named = process.env.VK_ICD_FILENAMES ?? process.env.VK_DRIVER_FILES;
  if (
    software &&
    (named !== undefined || DRIVER_LISTS.some((folder) => existsSync(folder) && readdirSync(folder).length > 0))
  )
    return;
  throw new RankscopeError('engine', 'webgpu', 'this machine shows no GPU device');
}
