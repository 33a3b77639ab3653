// How the threads of one routine meet. The words, each an i32 from `sync` on:
//   0 arrived, 4 generation, 8 next task, 12 cancel asked for (written by the main thread), 16 cancel agreed on by all.

/** Waits until `threads` have come; the last one deals the tasks anew and fixes, for all alike, whether the work goes on. */
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
  // A short spin hides the wake-up of a waiting thread (about 50 microseconds); a longer one would starve a busy machine.
  for (let i = 0; i < 4000; i++) if (atomic.load<i32>(sync, 4) != generation) return;
  while (atomic.load<i32>(sync, 4) == generation) atomic.wait<i32>(sync + 4, generation, -1);
}

/** Whether all threads stop here: the same answer for all of them between two barriers. */
export function agreedToStop(sync: usize): i32 {
  return atomic.load<i32>(sync, 16);
}

export function askedToStop(sync: usize): i32 {
  return atomic.load<i32>(sync, 12);
}

/** The number of the next task since the last barrier. */
export function nextTask(sync: usize): i32 {
  return atomic.add<i32>(sync, 1, 8);
}
