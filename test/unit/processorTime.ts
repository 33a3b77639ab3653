import { readFileSync } from 'node:fs';

/**
 * Starts to count the processor time of this process, all its threads together; the returned function tells the
 * milliseconds so far. Unlike a clock it does not run on while other processes have the processor.
 */
export function processorTime(): () => number {
  const start = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };
}

/** The same for another process, in steps of ten milliseconds; by the clock where there is no /proc. */
export function processorTimeOf(pid: number): () => number {
  const start = usedBy(pid);
  return () => usedBy(pid) - start;
}

function usedBy(pid: number): number {
  if (process.platform !== 'linux') return performance.now();
  // The name of the program, in brackets, may hold anything.
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
  const [user, system] = [fields[11], fields[12]].map(Number);
  return ((user ?? 0) + (system ?? 0)) * 10;
}
