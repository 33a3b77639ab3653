import { RankscopeError } from '../../base/errors.ts';
import type { Kernel, Kernels } from './kernels.ts';
import { SubmissionBudget } from './submissionBudget.ts';

/** A kernel's parameter: whole numbers become u32 (i32 when negative); `real(x)` becomes f32. */
export type Parameter = number | Real;
export interface Real {
  readonly real: number;
}
export const real = (value: number): Real => ({ real: value });

/**
 * Runs a kernel once, after everything recorded before.
 * @param work its cost in arithmetic operations
 */
export type Call = (
  parameters: readonly Parameter[],
  groups: readonly [number, number],
  work?: number,
) => Promise<void>;

/** The offset of a uniform binding must be a multiple of 256 bytes on every adapter. */
const SLOT = 256;
/** Dispatches per submission at most, since a submission cannot be stopped. */
const SLOTS = 256;
/** The default cost of a workgroup: a few operations by 256 threads. */
const GROUP_WORK = 4096;

/**
 * Records kernel calls and submits them in batches that the device at hand completes quickly. Parameters go through one
 * ring of uniform slots, rewritten for each batch: the queue orders that write after the batch before it.
 */
export class Commands {
  private readonly uniforms: GPUBuffer;
  private readonly slots = new ArrayBuffer(SLOT * SLOTS);
  private encoder: GPUCommandEncoder | undefined;
  private pass: GPUComputePassEncoder | undefined;
  private used = 0;
  private work = 0;
  private readonly budget = new SubmissionBudget();
  private readonly garbage: GPUBuffer[] = [];
  private readonly inFlight: Promise<undefined>[] = [];
  private failure: RankscopeError | undefined;
  private reportFailure: (error: RankscopeError) => void = () => {};
  /** Rejects when the device fails. */
  private failed = this.watch();

  constructor(
    private readonly device: GPUDevice,
    private readonly kernels: Kernels,
  ) {
    this.uniforms = device.createBuffer({
      size: SLOT * SLOTS,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    const remedy = 'Run again: another engine is used if this one keeps failing';
    device.addEventListener('uncapturederror', ({ error }) => {
      if (error instanceof GPUOutOfMemoryError)
        this.fail('too-large', 'the GPU ran out of memory while it worked on the matrix', 'Choose the cpu engine');
      else this.fail('engine', error.message, remedy);
    });
    void device.lost.then(({ message }) => {
      // Replaces a shortage of memory, because a lost device cannot recover.
      this.failure = undefined;
      this.fail('engine', `the device was lost${message && ` (${message})`}`, remedy);
    });
  }

  /** A buffer of `floats` f32 values, freed by `release` or with the device. */
  allocate(floats: number): GPUBuffer {
    return this.device.createBuffer({
      size: Math.max(4 * floats, 4),
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }

  /** Frees buffers once the recorded commands that use them are submitted. */
  release(...buffers: readonly GPUBuffer[]): void {
    this.garbage.push(...buffers);
    if (this.encoder === undefined) this.sweep();
  }

  /** Operations that a dispatch should not exceed: drivers reset a device that does not respond for long. */
  get dispatchWork(): number {
    return this.budget.most;
  }

  async dispatch(
    kernel: Kernel,
    buffers: readonly GPUBuffer[],
    parameters: readonly Parameter[],
    groups: readonly [number, number],
    work?: number,
  ): Promise<void> {
    const call = await this.bind(kernel, buffers);
    await call(parameters, groups, work);
  }

  /** Binds a kernel to its buffers, so that thousands of short dispatches share a pipeline and bind groups. */
  async bind(kernel: Kernel, buffers: readonly GPUBuffer[]): Promise<Call> {
    this.throwIfFailed();
    const pipeline = await this.kernels.pipeline(kernel);
    const layout = pipeline.getBindGroupLayout(0);
    const groupOfSlot: GPUBindGroup[] = [];
    return async (parameters, groups, work = GROUP_WORK * groups[0] * groups[1]) => {
      this.throwIfFailed();
      if (this.used === SLOTS || (this.used > 0 && this.work + work > this.budget.most)) await this.submit();
      const slot = this.used++;
      this.work += work;
      this.setParameters(slot, parameters);
      groupOfSlot[slot] ??= this.bindGroup(layout, buffers, slot, parameters.length);
      this.pass ??= this.record().beginComputePass();
      this.pass.setPipeline(pipeline);
      this.pass.setBindGroup(0, groupOfSlot[slot]);
      this.pass.dispatchWorkgroups(...groups);
    };
  }

  /** Copies `floats` values between buffers, in order with the kernels. */
  copy(source: GPUBuffer, sourceAt: number, target: GPUBuffer, targetAt: number, floats: number): void {
    this.record({ outsidePass: true }).copyBufferToBuffer(source, 4 * sourceAt, target, 4 * targetAt, 4 * floats);
  }

  /** Fills a buffer with zeros. */
  clear(buffer: GPUBuffer): void {
    this.record({ outsidePass: true }).clearBuffer(buffer);
  }

  /** Writes host data, after the kernels recorded before. */
  async write(buffer: GPUBuffer, at: number, data: Float32Array): Promise<void> {
    await this.submit();
    this.device.queue.writeBuffer(buffer, 4 * at, data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  }

  /**
   * Reads `floats` values from `at` on, after everything recorded. @throws RankscopeError 'engine' if the device
   * failed.
   */
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

  /** Submits what is recorded; waits while more than one earlier batch is running. */
  async submit(): Promise<void> {
    this.throwIfFailed();
    if (this.encoder === undefined) return;
    if (this.used > 0) this.device.queue.writeBuffer(this.uniforms, 0, this.slots, 0, SLOT * this.used);
    const encoder = this.record({ outsidePass: true });
    this.device.queue.submit([encoder.finish()]);
    const { work } = this;
    this.forget();
    const started = performance.now();
    this.inFlight.push(
      this.device.queue.onSubmittedWorkDone().then(() => {
        this.budget.learn(work, started, performance.now());
        return undefined;
      }),
    );
    if (this.inFlight.length > 1) await this.orFailure(this.inFlight.shift());
  }

  /** Submits what is recorded and waits until the device is idle. */
  async settle(): Promise<void> {
    await this.submit();
    while (this.inFlight.length > 0) await this.orFailure(this.inFlight.shift());
  }

  /**
   * Drops what is recorded but not submitted, after an error. A device that ran out of memory is usable again
   * afterwards.
   */
  async abandon(): Promise<void> {
    this.forget();
    if (this.failure?.code !== 'too-large') return;
    // Until here, whatever uses a buffer that could not be allocated fails as well.
    await this.device.queue.onSubmittedWorkDone();
    if (this.failure.code !== 'too-large') return;
    this.failure = undefined;
    this.failed = this.watch();
  }

  throwIfFailed(): void {
    if (this.failure !== undefined) throw this.failure;
  }

  private forget(): void {
    this.encoder = undefined;
    this.pass = undefined;
    this.used = 0;
    this.work = 0;
    this.sweep();
  }

  private record({ outsidePass = false } = {}): GPUCommandEncoder {
    if (outsidePass) {
      this.pass?.end();
      this.pass = undefined;
    }
    this.encoder ??= this.device.createCommandEncoder();
    return this.encoder;
  }

  private setParameters(slot: number, parameters: readonly Parameter[]): void {
    const view = new DataView(this.slots, SLOT * slot, SLOT);
    parameters.forEach((parameter, i) => {
      if (typeof parameter === 'object') view.setFloat32(4 * i, parameter.real, true);
      else if (parameter < 0) view.setInt32(4 * i, parameter, true);
      else view.setUint32(4 * i, parameter, true);
    });
  }

  private bindGroup(
    layout: GPUBindGroupLayout,
    buffers: readonly GPUBuffer[],
    slot: number,
    parameters: number,
  ): GPUBindGroup {
    const resources = [
      ...buffers.map((buffer) => ({ buffer })),
      { buffer: this.uniforms, offset: SLOT * slot, size: 4 * Math.max(4, parameters) },
    ];
    return this.device.createBindGroup({
      layout,
      entries: resources.map((resource, binding) => ({ binding, resource })),
    });
  }

  private sweep(): void {
    for (const buffer of this.garbage.splice(0)) buffer.destroy();
  }

  private watch(): Promise<never> {
    const failed = new Promise<never>((_, reject) => {
      this.reportFailure = reject;
    });
    failed.catch(() => {});
    return failed;
  }

  private fail(code: 'engine' | 'too-large', found: string, remedy: string): void {
    this.failure ??= new RankscopeError(code, 'webgpu', found, remedy);
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
