import { RankscopeError } from '../../base/errors.ts';
import { elementCount } from '../../base/shape.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { type Tensor, valuesIn, valuesOf } from '../../checkpoint/tensor.ts';
import type { RowSource } from '../../devices/backend.ts';
import { FACTOR_STYLES, factorNames } from '../../model/factorStyle.ts';
import { dimensionsOf } from '../../model/layout/dimensions.ts';
import { isStored } from '../../model/matrix.ts';
import { anatomy } from '../../model/names/anatomy.ts';
import { expertOfStack, factorModule, moduleOfWeight, weightOfModule } from '../../model/names/moduleOfWeight.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import { ggufForm } from '../ggufForm.ts';

/** Where the weights of a module are: in one matrix, or in factors, through which x passes in this order. */
export interface StoredLinear {
  readonly outputs: number;
  readonly inputs: number;
  readonly factors: readonly StoredFactor[];
}

export interface StoredFactor {
  readonly source: RowSource;
  /** Whether it is stored as (in, out). */
  readonly transposed: boolean;
}

/** The tensors of a network by the names of its modules in transformers, whatever the format of the file. */
export class Weights {
  readonly subject: string;
  private readonly tensors: ReadonlyMap<string, Tensor>;
  private readonly matrices: ReadonlyMap<string, StoredMatrix>;
  /** Names left out of a factorized file, and what they are tied to. */
  private readonly ties: ReadonlyMap<string, string>;

  constructor(checkpoint: Checkpoint) {
    this.subject = checkpoint.path;
    const { tensors, metadata, configuration } = ggufForm(checkpoint)?.checkpoint ?? checkpoint;
    const { matrices } = anatomy(tensors, undefined, dimensionsOf(configuration, metadata));
    this.tensors = new Map(tensors.map((tensor) => [tensor.name, tensor]));
    this.matrices = new Map(matrices.filter(isStored).map((matrix) => [matrix.name, matrix]));
    this.ties = tiesOf(metadata);
  }

  /** What stands before `module` in the names of the file, such as `model.`; undefined if the file lacks the module. */
  prefixOf(module: string): string | undefined {
    const endings = [`${module}.weight`, ...factorsOf(module).map(([, last]) => last)];
    const starts = [...this.tensors.keys(), ...this.ties.keys()].flatMap((name) =>
      endings
        .filter((ending) => name === ending || name.endsWith(`.${ending}`))
        .map((ending) => name.slice(0, name.length - ending.length)),
    );
    return starts.sort((a, b) => a.length - b.length)[0];
  }

  hasTensor(name: string): boolean {
    return this.tensor(name) !== undefined;
  }

  /** A bias has the name of the last factor in the files of other styles. */
  private tensor(name: string): Tensor | undefined {
    const [, module] = /^(.*)\.bias$/.exec(name) ?? [];
    const names = module === undefined ? [name] : FACTOR_STYLES.map((style) => factorNames(module, style).bias);
    return names.map((each) => this.tensors.get(each)).find((tensor) => tensor !== undefined);
  }

  /** The number of layers with tensors under `path`. */
  layersUnder(path: string): number {
    const numbers = [...this.tensors.keys()].flatMap((name) => {
      const number = name.startsWith(path) ? Number.parseInt(name.slice(path.length), 10) : Number.NaN;
      return Number.isNaN(number) ? [] : [number];
    });
    return numbers.reduce((most, number) => Math.max(most, number + 1), 0);
  }

  /** The matrix of a module, [out, in]; undefined if the file lacks it. */
  find(module: string): StoredLinear | undefined {
    const own = this.firstOf(module);
    const holder = factorModule(own);
    const dense = this.matrices.get(weightOfModule(own)) ?? this.matrices.get(`${holder}.weight`);
    if (dense) return { outputs: dense.shape[0], inputs: dense.shape[1], factors: [factorOf(dense)] };
    for (const [first, second] of factorsOf(holder)) {
      // Matrices may share the factor that is applied first.
      const [a, b] = [this.matrices.get(this.ties.get(first) ?? first), this.matrices.get(second)];
      if (!a || !b || a.shape[0] !== b.shape[1]) continue;
      const scales = first.endsWith('.svd_v') ? this.tensors.get(`${holder}.svd_s`) : undefined;
      const factors = [factorOf(a, scales), factorOf(b)];
      return { outputs: b.shape[0], inputs: a.shape[1], factors };
    }
    return undefined;
  }

  /** What the weight of a module is tied to; of an expert, its stack may be. */
  private firstOf(module: string): string {
    const { stack, expert } = expertOfStack(module) ?? {};
    if (stack !== undefined) return `${this.ties.get(stack) ?? stack}[${expert}]`;
    return moduleOfWeight(this.ties.get(`${module}.weight`) ?? module);
  }

  /** @throws RankscopeError 'malformed' if the file lacks it or its shape is not [outputs, inputs] */
  linear(module: string, outputs?: number, inputs?: number): StoredLinear {
    const found = this.find(module);
    if (!found) throw this.missing(weightOfModule(module));
    if ((outputs ?? found.outputs) !== found.outputs || (inputs ?? found.inputs) !== found.inputs)
      throw this.misfit(
        weightOfModule(module),
        `${found.outputs} x ${found.inputs}`,
        `${outputs ?? 'any'} x ${inputs ?? 'any'}`,
      );
    return found;
  }

  /** The values of a vector; undefined if the file lacks it. @throws RankscopeError 'malformed', 'not-finite' */
  async vector(name: string, sizes: readonly number[], signal?: AbortSignal): Promise<Float32Array | undefined> {
    const tensor = this.tensor(name);
    if (!tensor) return undefined;
    const size = elementCount(tensor.shape);
    if (!sizes.includes(size)) throw this.misfit(name, `${size} entries`, `${sizes.join(' or ')}`);
    const values = await valuesOf(tensor, signal);
    if (!values.every(Number.isFinite)) throw new RankscopeError('not-finite', name, 'contains NaN or infinity');
    return values;
  }

  missing(name: string): RankscopeError {
    return new RankscopeError(
      'malformed',
      this.subject,
      `its configuration needs the tensor ${name}, which it lacks${this.tensors.has(name) ? ' as a matrix of floats' : ''}`,
    );
  }

  /** @param key of the configuration, which says that there is no such tensor */
  denied(name: string, key: string): RankscopeError {
    const text = `it has the tensor ${name}, its configuration says "${key}": false`;
    return new RankscopeError('malformed', this.subject, text, 'Check that config.json belongs to these weights');
  }

  private misfit(name: string, found: string, wanted: string): RankscopeError {
    const text = `${name} has ${found}, its configuration says ${wanted}`;
    return new RankscopeError('malformed', this.subject, text, 'Check that config.json belongs to these weights');
  }
}

/** The names that the factors of a module may have in a factorized file, in the order in which they are applied. */
function factorsOf(module: string): (readonly [first: string, second: string])[] {
  const named = FACTOR_STYLES.map((style) => factorNames(module, style));
  return [...named.map(({ down, up }) => [down, up] as const), [`${module}.svd_v`, `${module}.svd_u`]];
}

/** @param scales multiply the rows of the matrix. */
function factorOf(matrix: StoredMatrix, scales?: Tensor): StoredFactor {
  const { transposed } = matrix;
  const source = matrix.source();
  if (!scales) return { source, transposed };
  const { name, rows, cols } = source;
  const read: RowSource['read'] = async (row, out, signal) => {
    const own = await valuesIn(scales, row, out.length / cols, signal);
    await source.read(row, out, signal);
    for (let i = 0; i < out.length; i++) out[i]! *= own[Math.floor(i / cols)]!;
  };
  return { source: { name, rows, cols, read }, transposed };
}

function tiesOf(metadata: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  try {
    const ties: unknown = JSON.parse(metadata.get('rankscope.ties') ?? '{}');
    return new Map(Object.entries(ties as object).filter(([, name]) => typeof name === 'string'));
  } catch {
    return new Map();
  }
}
