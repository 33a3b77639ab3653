import { RankscopeError } from '../../base/errors.ts';
import type { Kernel, Kernels } from './kernels.ts';

/** A kernel's parameter: whole numbers become u32 (i32 when negative); `real(x)` becomes f32. */
export type Parameter = number | Real;
export interface Real {
  readonly real: number;
}
export const real = (value: number): Real => ({ real: value });

/** A dynamic uniform offset must be a multiple of 256 bytes on every adapter. */
const SLOT = 256;
const SLOTS = 256;
/** Dispatches in one submission: few enough that a cancelled call stops soon, also on a slow adapter. */
const BATCH = 24;

/**
 * Records kernel calls and submits them in batches. Parameters go through one ring of uniform slots, rewritten for each batch: the
 * queue orders the write after the batch before it.
 */
export class Commands {
  private readonly uniforms: GPUBuffer;
  private readonly slots = new ArrayBuffer(SLOT * SLOTS);
  private encoder: GPUCommandEncoder | undefined;
  private used = 0;
  private readonly garbage: GPUBuffer[] = [];
  private readonly inFlight: Promise<undefined>[] = [];
  private failure: RankscopeError | undefined;
  private reportFailure: (error: RankscopeError) => void = () => {};
  private readonly failed: Promise<never>;

  constructor(
    private readonly device: GPUDevice,
    private readonly kernels: Kernels,
  ) {
    this.failed = new Promise((_, reject) => {
      this.reportFailure = reject;
    });
    this.failed.catch(() => {});
    this.uniforms = device.createBuffer({
      size: SLOT * SLOTS,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    device.addEventListener('uncapturederror', (event) => {
      this.fail(event.error.message);
    });
    void device.lost.then(({ message }) => {
      this.fail(`the device was lost${message && ` (${message})`}`);
    });
  }

  /** A buffer of `floats` f32 values that `release` or the device's end gives back. */
  allocate(floats: number): GPUBuffer {
    return this.device.createBuffer({
      size: Math.max(4 * floats, 4),
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }

  /** Gives a buffer back once the recorded commands that use it are on their way. */
  release(...buffers: readonly GPUBuffer[]): void {
    this.garbage.push(...buffers);
    if (this.encoder === undefined) this.sweep();
  }

  async dispatch(
    kernel: Kernel,
    buffers: readonly GPUBuffer[],
    parameters: readonly Parameter[],
    groups: readonly [number, number],
  ): Promise<void> {
    this.throwIfFailed();
    const pipeline = await this.kernels.pipeline(kernel);
    this.encoder ??= this.device.createCommandEncoder();
    const view = new DataView(this.slots, SLOT * this.used, SLOT);
    parameters.forEach((parameter, i) => {
      if (typeof parameter === 'object') view.setFloat32(4 * i, parameter.real, true);
      else if (parameter < 0) view.setInt32(4 * i, parameter, true);
      else view.setUint32(4 * i, parameter, true);
    });
    const entries = buffers.map((buffer, binding) => ({
      binding,
      resource: { buffer },
    }));
    const uniform = {
      buffer: this.uniforms,
      offset: SLOT * this.used,
      size: 4 * Math.max(4, parameters.length),
    };
    const group = this.device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [...entries, { binding: buffers.length, resource: uniform }],
    });
    const pass = this.encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...groups);
    pass.end();
    this.used++;
    if (this.used >= BATCH) await this.submit();
  }

  /** Copies `floats` values between buffers, in order with the kernels. */
  copy(source: GPUBuffer, sourceAt: number, target: GPUBuffer, targetAt: number, floats: number): void {
    this.encoder ??= this.device.createCommandEncoder();
    this.encoder.copyBufferToBuffer(source, 4 * sourceAt, target, 4 * targetAt, 4 * floats);
  }

  /** Sets a whole buffer to zero. */
  clear(buffer: GPUBuffer): void {
    this.encoder ??= this.device.createCommandEncoder();
    this.encoder.clearBuffer(buffer);
  }

  /** Writes host data, in order with the kernels recorded before. */
  async write(buffer: GPUBuffer, at: number, data: Float32Array): Promise<void> {
    await this.submit();
    this.device.queue.writeBuffer(buffer, 4 * at, data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  }

  /** `floats` values from `at` on, after everything that was recorded. @throws 'engine' when the device failed. */
  async read(buffer: GPUBuffer, at: number, floats: number): Promise<ArrayBuffer> {
    const staging = this.device.createBuffer({
      size: 4 * floats,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    this.copy(buffer, at, staging, 0, floats);
    await this.submit();
    try {
      await this.orFailure(staging.mapAsync(GPUMapMode.READ));
      return staging.getMappedRange().slice(0);
    } finally {
      staging.destroy();
    }
  }

  /** Submits what is recorded; waits while more than one earlier batch is still running. */
  async submit(): Promise<void> {
    this.throwIfFailed();
    if (this.encoder === undefined) return;
    if (this.used > 0) this.device.queue.writeBuffer(this.uniforms, 0, this.slots, 0, SLOT * this.used);
    this.device.queue.submit([this.encoder.finish()]);
    this.encoder = undefined;
    this.used = 0;
    this.sweep();
    this.inFlight.push(this.device.queue.onSubmittedWorkDone());
    if (this.inFlight.length > 1) await this.orFailure(this.inFlight.shift());
  }

  /** Waits until the device has done all that was asked of it. */
  async settle(): Promise<void> {
    await this.submit();
    while (this.inFlight.length > 0) await this.orFailure(this.inFlight.shift());
  }

  /** Forgets what is recorded and not yet submitted, after a cancellation. */
  abandon(): void {
    this.encoder = undefined;
    this.used = 0;
    this.sweep();
  }

  throwIfFailed(): void {
    if (this.failure !== undefined) throw this.failure;
  }

  private sweep(): void {
    for (const buffer of this.garbage.splice(0)) buffer.destroy();
  }

  private fail(found: string): void {
    this.failure ??= new RankscopeError(
      'engine',
      'webgpu',
      found,
      'Run again: another engine is taken when this one keeps failing',
    );
    this.reportFailure(this.failure);
  }

  private async orFailure<T>(work: Promise<T> | undefined): Promise<T | undefined> {
    try {
      return await Promise.race([work, this.failed]);
    } catch (error) {
      this.throwIfFailed();
      throw new RankscopeError('engine', 'webgpu', String(error));
    }
  }
}
