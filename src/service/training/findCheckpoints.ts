import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { RankscopeError } from '../../base/errors.ts';
import type { Skipped } from '../../model/findings.ts';
import { type StepUnit, stepOf } from '../../model/training/stepOf.ts';
import type { TrainingStep } from '../../model/training/training.ts';

export interface FoundCheckpoints {
  readonly unit: StepUnit;
  /** Ascending, each step once. */
  readonly steps: readonly TrainingStep[];
  readonly skipped: readonly Skipped[];
}

/**
 * The checkpoints of a training run in a folder, by the steps in their names.
 * @throws RankscopeError 'wrong-use' if it is no folder, or if fewer than two names tell a step
 */
export async function findCheckpoints(folder: string): Promise<FoundCheckpoints> {
  const refuse = (found: string, remedy: string) => new RankscopeError('wrong-use', folder, found, remedy);
  const kind = await stat(folder).catch(() => undefined);
  if (!kind?.isDirectory())
    throw refuse(
      kind ? 'it is a file' : 'there is no such folder',
      'Name the folder that holds the checkpoints of a run',
    );
  const names = await readdir(folder);
  const named = names.flatMap((name) => {
    const step = stepOf(name);
    return step ? [{ name, path: resolve(join(folder, name)), ...step }] : [];
  });
  // Where both are counted, most names decide.
  const unit = named.filter((each) => each.unit === 'step').length * 2 >= named.length ? 'step' : 'epoch';
  const skipped: Skipped[] = [];
  const steps = new Map<number, TrainingStep>();
  for (const { name, path, value, unit: own } of named.sort(
    (a, b) => a.value - b.value || (a.name < b.name ? -1 : 1),
  )) {
    const twin = steps.get(value);
    if (own !== unit) skipped.push({ name, reason: `its name tells no ${unit}, as most others do` });
    else if (twin) skipped.push({ name, reason: `${twin.name} is of the same ${unit}` });
    else steps.set(value, { step: value, name, path });
  }
  if (steps.size < 2)
    throw refuse(
      steps.size === 0 ? 'no name in it tells a step or an epoch' : 'it holds one checkpoint',
      'Name a folder with two or more, such as checkpoint-500, step1000 or epoch_3.pt',
    );
  return { unit, steps: [...steps.values()], skipped };
}

/** At most `most` of them, evenly spread, the first and the last included. */
export function spreadOver<Each>(all: readonly Each[], most: number): readonly Each[] {
  if (all.length <= most) return all;
  return Array.from({ length: most }, (_, place) => all[Math.round((place * (all.length - 1)) / (most - 1))]!);
}
