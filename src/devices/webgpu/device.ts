import { RankscopeError } from '../../base/errors.ts';

/** An opened GPU. One in `software` is emulated by the processor: correct, but slower than the cpu backend. */
export interface Gpu {
  readonly device: GPUDevice;
  readonly description: string;
  readonly software: boolean;
}

/** Must stay referenced for the life of the process: Node aborts if Dawn is collected. */
let dawn: GPU | undefined;

const INSTALL = 'Install the npm package webgpu beside Rankscope, or choose the cpu engine';

/**
 * Opens the fastest adapter with the highest limits it offers.
 * @throws RankscopeError 'engine' without the webgpu package or an adapter, or if its driver refuses.
 */
export async function openGpu(): Promise<Gpu> {
  const instance = await loadDawn();
  const adapter = await instance.requestAdapter({
    powerPreference: 'high-performance',
  });
  if (adapter === null) {
    throw new RankscopeError(
      'engine',
      'webgpu',
      'no GPU adapter was found',
      'Install the vendor’s Vulkan, Metal or D3D12 driver, or choose the cpu engine',
    );
  }
  const { limits, info } = adapter;
  const device = await adapter
    .requestDevice({
      requiredLimits: {
        maxBufferSize: limits.maxBufferSize,
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
        maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
        maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      },
    })
    .catch((error: unknown) => {
      throw new RankscopeError(
        'engine',
        'webgpu',
        `the adapter gave no device: ${String(error)}`,
        'Update its driver, or choose the cpu engine',
      );
    });
  const description = info.description || [info.vendor, info.device].filter(Boolean).join(' ') || 'GPU';
  const software =
    info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render/i.test(`${description} ${info.architecture}`);
  return { device, description, software };
}

async function loadDawn(): Promise<GPU> {
  if (dawn !== undefined) return dawn;
  // Dawn reads results back through external array buffers, which Electron forbids.
  if (process.versions.electron !== undefined) {
    throw new RankscopeError(
      'engine',
      'webgpu',
      'unavailable inside Electron',
      'Set rankscope.node.path to Node 22 or newer',
    );
  }
  const { create, globals } = await import('webgpu').catch((error: unknown) => {
    throw new RankscopeError('engine', 'webgpu', `its library could not be loaded (${String(error)})`, INSTALL);
  });
  Object.assign(globalThis, globals);
  dawn = create([]);
  return dawn;
}
