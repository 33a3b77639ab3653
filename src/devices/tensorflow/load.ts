import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import util from 'node:util';
import { RankscopeError } from '../../base/errors.ts';

/** The part of TensorFlow.js that this backend uses, declared here because the package is optional. */
export interface TensorFlow {
  readonly version: { readonly tfjs: string };
  tensor2d(values: Float32Array, shape: [number, number]): Tensor;
  matMul(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor;
  transpose(a: Tensor): Tensor;
  add(a: Tensor, b: Tensor): Tensor;
  mul(a: Tensor, factor: number): Tensor;
  slice(a: Tensor, begin: readonly number[], size: readonly number[]): Tensor;
  tidy<T>(work: () => T): T;
  backend(): NativeBackend;
}

export interface Tensor {
  readonly shape: readonly number[];
  data(): Promise<Float32Array>;
  dispose(): void;
}

export interface NativeBackend {
  readonly isUsingGpuDevice: boolean;
  readonly binding: { readonly TF_ATTR_BOOL: number };
  executeMultipleOutputs(
    operator: string,
    attributes: readonly Attribute[],
    inputs: readonly Tensor[],
    outputs: number,
  ): Tensor[];
}

export interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

export interface Loaded {
  readonly tf: TensorFlow;
  readonly packageName: string;
  /** The attribute that declares the type of an operator's inputs. */
  typeAttribute(): Attribute;
}

const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'];
const INSTALL =
  'Run the command "Install the TensorFlow (CUDA) Engine", or install @tensorflow/tfjs-node-gpu and name its folder in RANKSCOPE_TENSORFLOW';

/**
 * Loads TensorFlow.js from the folder named by RANKSCOPE_TENSORFLOW, from next to Rankscope, or from the current
 * folder.
 * @throws RankscopeError 'not-found' without the package, 'engine' without its native library or CUDA
 */
export function loadTensorFlow(): Loaded {
  shim();
  const places = [process.env.RANKSCOPE_TENSORFLOW, dirname(fileURLToPath(import.meta.url)), process.cwd()].filter(
    (place) => place !== undefined,
  );
  for (const place of places) {
    const load = createRequire(join(resolve(place), 'package.json'));
    for (const packageName of PACKAGES) {
      if (!resolves(load, packageName)) continue;
      try {
        const tf = load(packageName) as TensorFlow;
        const { createTensorsTypeOpAttr } = load(`${packageName}/dist/nodejs_kernel_backend.js`) as NativeModule;
        return { tf, packageName, typeAttribute: () => createTensorsTypeOpAttr('T', 'float32') };
      } catch (error) {
        throw new RankscopeError('engine', 'tensorflow', explain(packageName, error), INSTALL, { cause: error });
      }
    }
  }
  throw new RankscopeError('not-found', 'tensorflow', 'TensorFlow.js is not installed', INSTALL);
}

interface NativeModule {
  createTensorsTypeOpAttr(name: string, type: 'float32'): Attribute;
}

/** TensorFlow.js 4.22 calls two functions that Node 23 removed. */
function shim(): void {
  const old = util as { isNullOrUndefined?: (value: unknown) => boolean; isArray?: (value: unknown) => boolean };
  old.isNullOrUndefined ??= (value) => value === null || value === undefined;
  old.isArray ??= Array.isArray;
}

function resolves(load: NodeJS.Require, name: string): boolean {
  try {
    load.resolve(name);
    return true;
  } catch {
    return false;
  }
}

function explain(packageName: string, error: unknown): string {
  const message = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  if (/libcudart|libcublas|libcudnn|libcusolver|CUDA/i.test(message))
    return `${packageName} found no CUDA: it needs CUDA 11.2 and cuDNN 8.1 (${message})`;
  if (/tfjs_binding|napi-v|libtensorflow/i.test(message))
    return `${packageName} is installed without its native library (${message})`;
  return `${packageName} could not be loaded (${message})`;
}
