import { balanced } from '../../base/balancedFactors.ts';
import { RankscopeError } from '../../base/errors.ts';
import type { Pause } from '../../base/eventLoop.ts';
import type { Backend, Matrix, Moments } from '../../devices/backend.ts';
import { type Block, linearsOf, withReplaced } from '../blocks/block.ts';
import { freeLinear } from '../blocks/deviceLinear.ts';
import { expertOf, modulesOf, uploadModule } from '../blocks/expert.ts';
import { uploadFactors } from '../blocks/passRows.ts';
import type { BlockNorm } from '../configuration/architectures.ts';
import type { Linear } from '../operations/linear.ts';
import type { Norm } from '../operations/norm.ts';
import type { Tape } from '../operations/tape.ts';
import type { Factors } from '../variant.ts';

/** What a refinement changes, copied to the host. */
export interface TrainedValues {
  readonly factors: ReadonlyMap<string, Factors>;
  readonly norms: Readonly<Partial<Record<BlockNorm, Norm>>>;
}

type Side = 'weight' | 'bias';

/** The weights of a norm, which stay on the host as well, in device memory. */
interface TrainedVector {
  readonly norm: Norm;
  readonly side: Side;
  readonly values: Float32Array;
  readonly matrix: Matrix;
}

/** A block in device memory with factors in place of some layers, which are trained with copies of its norms. */
export class TrainedBlock {
  private constructor(
    private readonly backend: Backend,
    readonly block: Block,
    /** The matrices of factors. */
    readonly trained: ReadonlySet<Matrix>,
    private readonly factors: ReadonlyMap<string, Linear>,
    private readonly moments: ReadonlyMap<Matrix, Moments>,
    private readonly vectors: readonly TrainedVector[],
    private readonly owned: readonly Linear[],
    private readonly held: readonly Matrix[],
  ) {}

  /**
   * Uploads the factors, and the experts that are not in device memory. The caller frees it.
   * @throws RankscopeError 'wrong-use' for factors that fit no layer of the block, 'too-large', 'cancelled'
   */
  static async open(
    backend: Backend,
    block: Block,
    factors: ReadonlyMap<string, Factors>,
    signal: AbortSignal | undefined,
  ): Promise<TrainedBlock> {
    const owned: Linear[] = [];
    const held: Matrix[] = [];
    const replaced = new Map<string, Linear>();
    const moments = new Map<Matrix, Moments>();
    const hold = async (rows: number, cols: number, fill: (out: Float32Array) => void): Promise<Matrix> => {
      const matrix = await backend.allocate(rows, cols);
      held.push(matrix);
      await backend.upload(matrix, 0, rows, fill);
      return matrix;
    };
    const zeros = ({ rows, cols }: Matrix) => hold(rows, cols, (out) => out.fill(0));
    const replace = async (
      layer: Pick<Linear, 'name' | 'outputs' | 'inputs' | 'bias'>,
    ): Promise<Linear | undefined> => {
      const own = factors.get(layer.name);
      if (!own) return undefined;
      checkShape(layer, own);
      const linear = await uploadFactors(backend, layer, balancedCopy(own, layer.inputs), signal);
      owned.push(linear);
      replaced.set(layer.name, linear);
      return linear;
    };
    try {
      for (const layer of linearsOf(block)) await replace(layer);
      const experts = [...block.experts];
      if (experts.length === 0)
        for (const stored of block.storedExperts) {
          const layers = new Map<string, Linear>();
          for (const module of modulesOf(stored)) {
            const { name, bias } = module;
            const own = await replace({ name, ...module.stored, bias });
            const linear = own ?? (await uploadModule(backend, module, signal));
            if (!own) owned.push(linear);
            layers.set(name, linear);
          }
          experts.push(expertOf(stored, ({ name }) => layers.get(name)!));
        }
      const unknown = [...factors.keys()].find((name) => !replaced.has(name));
      if (unknown !== undefined) throw new RankscopeError('wrong-use', unknown, 'is no layer of this block');
      const matrices = [...replaced.values()].flatMap(({ steps }) => steps.map(({ matrix }) => matrix));
      const norms = copiesOf(block.norms);
      const vectors: TrainedVector[] = [];
      for (const norm of Object.values(norms))
        for (const side of ['weight', 'bias'] as const) {
          const values = norm[side];
          if (!values) continue;
          const matrix = await hold(1, values.length, (out) => out.set(values));
          vectors.push({ norm, side, values, matrix });
        }
      for (const matrix of [...matrices, ...vectors.map((vector) => vector.matrix)])
        moments.set(matrix, { first: await zeros(matrix), second: await zeros(matrix) });
      const changed = withReplaced({ ...block, norms, experts }, (layer) => replaced.get(layer.name) ?? layer);
      return new TrainedBlock(backend, changed, new Set(matrices), replaced, moments, vectors, owned, held);
    } catch (error) {
      release(backend, owned, held);
      throw error;
    }
  }

  /**
   * A step of Adam on everything, with the gradients of a tape.
   * @returns the name of a module or norm whose gradient is not finite; the values are worth nothing then
   */
  async step(tape: Tape, rate: number, step: number): Promise<string | undefined> {
    /** Whether the gradient, which is freed, was finite. */
    const move = async (matrix: Matrix, gradient: Matrix): Promise<boolean> => {
      try {
        const moments = this.moments.get(matrix)!;
        return Number.isFinite(await this.backend.network.adam(matrix, gradient, moments, { rate, step }));
      } finally {
        this.backend.free(gradient);
      }
    };
    for (const [name, { steps }] of this.factors)
      for (const { matrix } of steps) {
        const gradient = tape.take(matrix);
        // An expert that no token has chosen has none.
        if (gradient && !(await move(matrix, gradient))) return name;
      }
    for (const { norm, side, values, matrix } of this.vectors) {
      const own = tape.norms.get(norm)?.[side];
      if (!own) continue;
      const gradient = await this.backend.allocate(1, own.length);
      await this.backend.upload(gradient, 0, 1, (out) => out.set(own));
      if (!(await move(matrix, gradient))) return this.nameOf(norm);
      values.set(await this.backend.download(matrix));
    }
    return undefined;
  }

  /** The values as they are now. */
  async values(pause: Pause): Promise<TrainedValues> {
    const factors = new Map<string, Factors>();
    for (const [name, { steps, inputs }] of this.factors) {
      await pause();
      const [a, b] = [await this.backend.download(steps[0]!.matrix), await this.backend.download(steps[1]!.matrix)];
      factors.set(name, balanced(b, a, a.length / inputs));
    }
    return { factors, norms: copiesOf(this.block.norms) };
  }

  free(): void {
    release(this.backend, this.owned, this.held);
  }

  private nameOf(norm: Norm): string {
    return Object.entries(this.block.norms).find(([, own]) => own === norm)?.[0] ?? 'a norm';
  }
}

function release(backend: Backend, owned: readonly Linear[], held: readonly Matrix[]): void {
  for (const linear of owned) freeLinear(backend, linear);
  for (const matrix of held) backend.free(matrix);
}

function balancedCopy({ b, a }: Factors, inputs: number): Factors {
  return balanced(b.slice(), a.slice(), a.length / inputs);
}

function checkShape({ name, outputs, inputs }: Pick<Linear, 'name' | 'outputs' | 'inputs'>, { b, a }: Factors): void {
  const rank = a.length / inputs;
  if (Number.isInteger(rank) && rank > 0 && b.length === outputs * rank) return;
  const found = `factors of ${b.length} and ${a.length} entries do not fit a ${outputs} x ${inputs} matrix`;
  throw new RankscopeError('wrong-use', name, found);
}

function copiesOf(norms: Block['norms']): Block['norms'] {
  const copy = (norm: Norm): Norm => ({ ...norm, weight: norm.weight.slice(), bias: norm.bias?.slice() });
  return Object.fromEntries(Object.entries(norms).map(([part, norm]) => [part, copy(norm)]));
}
