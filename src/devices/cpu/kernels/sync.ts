// How the threads of a routine meet. The i32 words from `sync` on, by byte offset:
//   0 threads arrived, 4 generation, 8 next task, 12 cancellation requested (set by the main thread), 16 cancellation
//   agreed, 20 patience: looks at a word of memory before a thread sleeps (set by the main thread).

/** The least patience: roughly 30 microseconds. */
const LEAST: i32 = 100000;

/** How often a thread looks at a word before it sleeps. */
export function patienceOf(sync: usize): i32 {
  return max(LEAST, atomic.load<i32>(sync, 20));
}

/** Looking so often was in vain: the thread that is waited for has lost its core, perhaps to this one. */
export function losePatience(sync: usize, patience: i32): void {
  atomic.store<i32>(sync, patience >> 2, 20);
}

/** Waits until all `threads` have arrived. The last resets the tasks and decides, for all, whether the work goes on. */
export function barrier(sync: usize, threads: i32): void {
  if (threads == 1) {
    store<i32>(sync, 0, 8);
    store<i32>(sync, atomic.load<i32>(sync, 12), 16);
    return;
  }
  const generation = atomic.load<i32>(sync, 4);
  if (atomic.add<i32>(sync, 1) + 1 == threads) {
    atomic.store<i32>(sync, 0, 0);
    atomic.store<i32>(sync, 0, 8);
    atomic.store<i32>(sync, atomic.load<i32>(sync, 12), 16);
    atomic.add<i32>(sync, 1, 4);
    atomic.notify(sync + 4, -1);
    return;
  }
  // Waking a sleeping thread takes about 50 microseconds, after which the others have fallen asleep at the next barrier,
  // and so on. Spinning for longer than that lets them catch up; where it is in vain, patience shrinks, so
  // that a busy machine is not starved.
  const patience = patienceOf(sync);
  for (let i = 0; i < patience; i++) if (atomic.load<i32>(sync, 4) != generation) return;
  losePatience(sync, patience);
  while (atomic.load<i32>(sync, 4) == generation) atomic.wait<i32>(sync + 4, generation, -1);
}

/** Whether all threads stop here. Between two barriers, all get the same answer. */
export function agreedToStop(sync: usize): i32 {
  return atomic.load<i32>(sync, 16);
}

/** Whether the caller has cancelled. */
export function askedToStop(sync: usize): i32 {
  return atomic.load<i32>(sync, 12);
}

/** Takes the next task since the last barrier; returns its number. */
export function nextTask(sync: usize): i32 {
  return atomic.add<i32>(sync, 1, 8);
}
