import { readFileSync } from 'node:fs';
import { RankscopeError } from '../../../../src/base/errors.ts';
import { elementCount } from '../../../../src/base/shape.ts';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';

/** Opens argv[2], reads the beginning of its first tensors and prints what that took. */
const start = process.cpuUsage();
let found = 'opened';
try {
  const checkpoint = await openCheckpoint(process.argv[2]!);
  for (const tensor of checkpoint.tensors.slice(0, 50)) {
    const count = elementCount(tensor.shape);
    await tensor.read(0, new Float32Array(Math.min(count, 4))).catch((error: unknown) => {
      if (!(error instanceof RankscopeError)) throw error;
    });
  }
  found = `opened, ${checkpoint.tensors.length} tensors`;
  await checkpoint.close();
} catch (error) {
  if (!(error instanceof RankscopeError)) throw error;
  found = `${error.code}: ${error.found}`;
}
const { user, system } = process.cpuUsage(start);
const seconds = (user + system) / 1e6;
console.log(JSON.stringify({ found: found.slice(0, 300), seconds, megabytes: peakMegabytes() }));

/** The most memory this process has held. On Linux, getrusage starts with the memory of the parent. */
function peakMegabytes(): number {
  const status = process.platform === 'linux' ? readFileSync('/proc/self/status', 'latin1') : '';
  const peak = /^VmHWM:\s*(\d+) kB/m.exec(status)?.[1];
  return (peak === undefined ? process.resourceUsage().maxRSS : Number(peak)) / 1024;
}
