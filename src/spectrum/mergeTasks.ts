/** How PEFT merges tensors of several tasks, by the names of its combination types. */
export type TaskMerge = 'linear' | 'ties' | 'dare_linear' | 'dare_ties' | 'magnitude_prune';

export interface TaskMergeOptions {
  readonly merge: TaskMerge;
  readonly weights: readonly number[];
  /** The share of entries that pruning keeps; all by default. */
  readonly density: number;
  readonly majoritySign: 'total' | 'frequency';
  /** Numbers in [0, 1) for DARE's masks. */
  readonly random: () => number;
}

/**
 * One tensor of several of the same size: weighted sums, after pruning by magnitude (TIES, Yadav et al. 2023) or at
 * random with what remains divided by the density (DARE, Yu et al. 2024); with TIES, the mean of the entries that have
 * the elected sign.
 */
export function mergeTasks(tasks: readonly ArrayLike<number>[], options: TaskMergeOptions): Float64Array {
  const { merge, weights, density, majoritySign, random } = options;
  const pruned = tasks.map((task) => {
    if (merge === 'linear' || density >= 1) return task;
    return merge.startsWith('dare') ? drop(task, density, random) : keepLargest(task, density);
  });
  const length = tasks[0]?.length ?? 0;
  const out = new Float64Array(length);
  const elects = merge === 'ties' || merge === 'dare_ties';
  for (let i = 0; i < length; i++) {
    if (!elects) {
      for (const [k, task] of pruned.entries()) out[i]! += weights[k]! * task[i]!;
      continue;
    }
    let votes = 0;
    for (const task of pruned) votes += majoritySign === 'total' ? task[i]! : Math.sign(task[i]!);
    const elected = votes >= 0 ? 1 : -1;
    let count = 0;
    for (const [k, task] of pruned.entries()) {
      if (Math.sign(task[i]!) !== elected) continue;
      out[i]! += weights[k]! * task[i]!;
      count++;
    }
    out[i]! /= Math.max(count, 1);
  }
  return out;
}

/** Keeps floor(density * length) entries, those of largest magnitude. */
function keepLargest(task: ArrayLike<number>, density: number): Float64Array {
  const count = Math.trunc(density * task.length);
  const out = new Float64Array(task.length);
  if (count === 0) return out;
  const magnitudes = Float64Array.from(task, Math.abs).sort();
  const least = magnitudes[task.length - count]!;
  let above = 0;
  for (let i = 0; i < task.length; i++) if (Math.abs(task[i]!) > least) above++;
  // Of entries that are as large as the smallest that is kept, the first ones fill up the count.
  let equal = count - above;
  for (let i = 0; i < task.length; i++) {
    const size = Math.abs(task[i]!);
    if (size > least || (size === least && equal-- > 0)) out[i] = task[i]!;
  }
  return out;
}

function drop(task: ArrayLike<number>, density: number, random: () => number): Float64Array {
  return Float64Array.from(task, (value) => (random() < density ? value / density : 0));
}
