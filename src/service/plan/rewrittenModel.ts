import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { dimensionsOf } from '../../model/layout/dimensions.ts';
import type { Matrix } from '../../model/matrix.ts';
import { anatomy } from '../../model/names/anatomy.ts';
import type { Plan, PlannedMatrix } from '../../model/plan/plan.ts';
import { type GgufForm, ggufForm } from '../../network/ggufForm.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { denseKinds } from './denseKinds.ts';
import { tiedHead } from './tiedHead.ts';

/** A checkpoint and its plan under the names that the model's code uses: the input of the writer. */
export interface RewrittenModel {
  readonly checkpoint: Checkpoint;
  readonly matrices: readonly Matrix[];
  readonly plan: Plan;
  readonly ties: readonly (readonly string[])[];
  readonly remarks: readonly string[];
}

/**
 * Renames and reorders what GGUF stores in the way of llama.cpp; other formats are returned unchanged.
 * @param ties tied groups of the checkpoint as it was opened.
 */
export function rewrittenModel(
  opened: Pick<Opened, 'checkpoint' | 'anatomy'>,
  plan: Plan,
  ties: readonly (readonly string[])[],
): RewrittenModel {
  const { checkpoint } = opened;
  const form = ggufForm(checkpoint);
  if (!form) {
    const { matrices } = opened.anatomy;
    return withCautions({ checkpoint, matrices, plan, ties, remarks: [] }, tiedHead(opened));
  }
  // What decided the shapes when the plan was made must decide them here.
  const dimensions = dimensionsOf(checkpoint.configuration, checkpoint.metadata);
  return withCautions({
    checkpoint: form.checkpoint,
    matrices: anatomy(form.checkpoint.tensors, undefined, dimensions).matrices,
    plan: planIn(form, plan),
    ties: withTiedHead(form, tiesIn(form, ties)),
    remarks: form.remarks,
  });
}

/** The name of a matrix of the checkpoint as it was opened, as the rewritten model has it. */
export function rewrittenName({ checkpoint }: Pick<Opened, 'checkpoint'>, name: string): string {
  const form = ggufForm(checkpoint);
  return form ? matrixName(form, name) : name;
}

/** Adds what users must know of the tied matrices that the plan cuts, whoever made it. */
function withCautions(model: RewrittenModel, head?: ReturnType<typeof tiedHead>): RewrittenModel {
  const cut = new Set(model.plan.matrices.filter(({ rank }) => rank !== null).map(({ name }) => name));
  const cautions = [...denseKinds({ ...model, tiedHead: head })].flatMap(([{ name }, { caution }]) =>
    caution !== undefined && cut.has(name) ? [caution] : [],
  );
  return { ...model, remarks: [...model.remarks, ...cautions] };
}

function planIn(form: GgufForm, plan: Plan): Plan {
  return {
    ...plan,
    checkpoint: { ...plan.checkpoint, parameters: plan.checkpoint.parameters - form.parametersLeftOut },
    matrices: plan.matrices.map((matrix): PlannedMatrix => ({ ...matrix, name: matrixName(form, matrix.name) })),
  };
}

/** The name that a matrix of the checkpoint has in the network. */
export function nameInNetwork(checkpoint: Checkpoint, name: string): string {
  const form = ggufForm(checkpoint);
  return form ? matrixName(form, name) : name;
}

/** `name[3]` is a slice of a stack. */
function matrixName(form: GgufForm, name: string): string {
  const [, stack = name, slice = '0'] = /^(.*)\[(\d+)\]$/.exec(name) ?? [];
  const names = form.namesOf(stack);
  return names.length > 1 ? (names[Number(slice)] ?? name) : stack === name ? (names[0] ?? name) : name;
}

/** Tied stacks are tied expert by expert. */
function tiesIn(form: GgufForm, ties: readonly (readonly string[])[]): string[][] {
  return ties.flatMap((group) => {
    const names = group.map((name) => form.namesOf(name)).filter((those) => those.length > 0);
    return (names[0] ?? []).map((_, k) => names.flatMap((those) => those[k] ?? []));
  });
}

function withTiedHead({ tiedHead }: GgufForm, ties: readonly (readonly string[])[]): readonly (readonly string[])[] {
  if (!tiedHead) return ties;
  const { embedding, head } = tiedHead;
  const at = ties.findIndex((group) => group.includes(embedding));
  return at < 0 ? [...ties, [embedding, head]] : ties.map((group, k) => (k === at ? [...group, head] : group));
}
