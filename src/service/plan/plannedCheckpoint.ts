import { untied } from '../../checkpoint/ties.ts';
import type { PlannedCheckpoint } from '../../model/plan/totals.ts';
import { carriedTensor } from '../../write/carried.ts';
import { type Opened, viewOf } from '../checkpoints/opened.ts';

/**
 * The header of a safetensors file has less than this for a tensor beside its name: its type, shape and place, and the
 * longer names of two factors with what the metadata say of them.
 */
const HEADER = 400;

/** What a plan is made for, with the bytes that `apply` writes where nothing is cut. */
export function plannedCheckpoint(opened: Opened): PlannedCheckpoint {
  const tensors = untied(opened.checkpoint.tensors, opened.ties());
  let writtenBytes = 0;
  for (const tensor of tensors)
    for (const part of tensor.derived?.parts ?? [tensor])
      writtenBytes += carriedTensor(part).bytes + HEADER + 4 * part.name.length;
  return { ...viewOf(opened), writtenBytes };
}
