import { formatBytes, formatEstimate } from '../../base/quantities.ts';
import type { CompressionEstimate } from '../../model/compression.ts';

/** What a compression will take, and what to know of its text, before a person agrees. */
export function estimateText({ seconds, memoryBytes, diskBytes, schedule, notes }: CompressionEstimate): string {
  const { blocks = 0 } = seconds;
  const refined =
    schedule.steps > 0
      ? ` The blocks take ${formatEstimate(blocks)} of the time, with ${schedule.steps} steps of refinement each.`
      : '';
  return [
    `It needs about ${formatBytes(memoryBytes)} of memory, and ${formatBytes(diskBytes)} on the disk until it is done.${refined}`,
    'It can be stopped at any time: what is finished is kept, and the same choices go on there.',
    ...notes,
  ].join('\n\n');
}
