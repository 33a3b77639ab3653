import { breakEvenRank } from '../../base/shape.ts';
import type { Role } from '../names/roles.ts';
import { loraParameters } from '../plan/rankCost.ts';
import { inTargetSet, matricesInRole, TARGET_SETS, type TargetSet } from './targets.ts';

/** Modules of one kind and shape. */
export interface LoraModule {
  /** The last word of its path, which is how PEFT's `target_modules` names it: `q_proj`. */
  readonly name: string;
  readonly role: Role;
  /** [m, n] = [out, in]. */
  readonly shape: readonly [number, number];
  /** How many the network has of it. */
  readonly count: number;
}

/** A network whose adapters can be counted. */
export interface LoraModel {
  readonly name: string;
  readonly parameters: number;
  /** d, the width of the residual stream; null if it is unknown. */
  readonly hidden: number | null;
  readonly modules: readonly LoraModule[];
}

export interface LoraCountRequest {
  /** A checkpoint; otherwise `model`. */
  readonly path?: string;
  /** The name of a usual model. */
  readonly model?: string;
  /** 4, 8, 16, 32, 64 and 128 by default. */
  readonly ranks?: readonly number[];
  /** Globs over the modules' names, as a further set of targets. */
  readonly targets?: readonly string[];
}

export interface LoraCountRow {
  readonly targets: string;
  readonly rank: number;
  /** Sum of r (m + n) over the modules. */
  readonly parameters: number;
  /** 2 d r for each adapted matrix (Hu et al. 2021, section 4.2): as if all were d x d; null without d. */
  readonly tutorial: number | null;
  /** Of the parameters of the model. */
  readonly share: number;
  /** Adam's two moments in f32. */
  readonly optimizerBytes: number;
  /** With the weights of the adapter and their gradients in f32. */
  readonly trainingBytes: number;
  /** A file of 16-bit numbers. */
  readonly fileBytes: number;
  /** Modules whose factors are larger than their matrix at this rank. */
  readonly beyondBreakEven: number;
}

export interface LoraShape {
  readonly shape: readonly [number, number];
  readonly modules: readonly string[];
  readonly count: number;
  /** m n / (m + n), rounded down: d / 2 for a d x d matrix. */
  readonly breakEven: number;
}

/** The object that `rankscope lora count --json` prints; its schema is media/schemas/loraCount.schema.json. */
export interface LoraCount {
  readonly format: 'rankscope.loraCount/1';
  readonly model: LoraModel;
  readonly rows: readonly LoraCountRow[];
  readonly shapes: readonly LoraShape[];
  /** Adam's two moments in f32 for all parameters, and the same with weights and gradients. */
  readonly full: { readonly optimizerBytes: number; readonly trainingBytes: number };
}

export const USUAL_RANKS = [4, 8, 16, 32, 64, 128] as const;
/** Per trained parameter in f32: two moments of Adam; with the weight and its gradient (Rajbhandari et al. 2020). */
const [MOMENTS, TRAINED] = [8, 16];

/** What LoRA costs on a network, for each rank and set of targets. `custom` adds a set of its own, by module. */
export function countLora(
  model: LoraModel,
  ranks: readonly number[] = USUAL_RANKS,
  custom?: { readonly name: string; readonly has: (module: LoraModule) => boolean },
): LoraCount {
  const sets = TARGET_SETS.map((set) => ({
    name: set as string,
    of: (role: Role) => matricesInRole(role, set),
    has: ({ role }: LoraModule) => inTargetSet(role, set),
  }));
  const own = custom && { ...custom, of: (role: Role) => matricesInRole(role, 'all-linear' satisfies TargetSet) };
  const rows = [...sets, ...(own ? [own] : [])].flatMap(({ name, of, has }) => {
    const adapted = model.modules.filter(has);
    return adapted.length === 0 ? [] : ranks.map((rank) => ({ targets: name, ...countRow(model, adapted, rank, of) }));
  });
  return {
    format: 'rankscope.loraCount/1',
    model,
    rows,
    shapes: shapesOf(model.modules),
    full: { optimizerBytes: MOMENTS * model.parameters, trainingBytes: TRAINED * model.parameters },
  };
}

function countRow(
  { parameters: all, hidden }: LoraModel,
  modules: readonly LoraModule[],
  rank: number,
  matrices: (role: Role) => number,
): Omit<LoraCountRow, 'targets'> {
  const sum = (of: (module: LoraModule) => number) =>
    modules.reduce((total, module) => total + module.count * of(module), 0);
  const parameters = sum(({ shape: [m, n] }) => loraParameters(m, n, rank));
  return {
    rank,
    parameters,
    tutorial: hidden === null ? null : 2 * hidden * rank * sum(({ role }) => matrices(role)),
    share: all > 0 ? parameters / all : 0,
    optimizerBytes: MOMENTS * parameters,
    trainingBytes: TRAINED * parameters,
    fileBytes: 2 * parameters,
    beyondBreakEven: sum(({ shape: [m, n] }) => (rank > breakEvenRank(m, n) ? 1 : 0)),
  };
}

function shapesOf(modules: readonly LoraModule[]): LoraShape[] {
  const shapes = new Map<string, { shape: readonly [number, number]; modules: string[]; count: number }>();
  for (const { name, role, shape, count } of modules) {
    if (!inTargetSet(role, 'all-linear')) continue;
    const key = shape.join('x');
    const known = shapes.get(key) ?? { shape, modules: [], count: 0 };
    known.count += count;
    if (!known.modules.includes(name)) known.modules.push(name);
    shapes.set(key, known);
  }
  return [...shapes.values()].map((each) => ({ ...each, breakEven: breakEvenRank(...each.shape) }));
}
