import { RankscopeError } from '../../base/errors.ts';

/** A WGSL file of `kernels/`, without its extension, and the values of its `override` constants. */
export interface Kernel {
  readonly file: string;
  readonly constants?: Readonly<Record<string, number>>;
}

/** The compiled pipelines of a device, each compiled once. */
export class Kernels {
  private readonly modules = new Map<string, Promise<GPUShaderModule>>();
  private readonly pipelines = new Map<string, Promise<GPUComputePipeline>>();

  constructor(
    private readonly device: GPUDevice,
    private readonly source: (file: string) => Promise<string>,
  ) {}

  pipeline(kernel: Kernel): Promise<GPUComputePipeline> {
    const key = JSON.stringify(kernel);
    const known = this.pipelines.get(key);
    if (known !== undefined) return known;
    const made = this.compile(kernel);
    this.pipelines.set(key, made);
    return made;
  }

  private async compile({ file, constants }: Kernel): Promise<GPUComputePipeline> {
    const module = this.modules.get(file) ?? this.load(file);
    this.modules.set(file, module);
    return await this.device.createComputePipelineAsync({
      layout: 'auto',
      compute: {
        module: await module,
        entryPoint: 'main',
        ...(constants && { constants }),
      },
    });
  }

  /** @throws RankscopeError 'engine' with each message of the shader compiler and its source line. */
  private async load(file: string): Promise<GPUShaderModule> {
    const code = await this.source(file);
    this.device.pushErrorScope('validation');
    const module = this.device.createShaderModule({ label: file, code });
    const { messages } = await module.getCompilationInfo();
    await this.device.popErrorScope();
    const errors = messages.filter(({ type }) => type === 'error');
    if (errors.length > 0)
      throw new RankscopeError('engine', file, `the shader does not compile\n${explain(code, errors)}`);
    return module;
  }
}

function explain(code: string, errors: readonly GPUCompilationMessage[]): string {
  const lines = code.split('\n');
  return errors
    .map(
      ({ lineNum, linePos, message }) =>
        `${lineNum}:${linePos} ${message}\n  ${lines[lineNum - 1] ?? ''}\n  ${' '.repeat(Math.max(linePos - 1, 0))}^`,
    )
    .join('\n');
}
