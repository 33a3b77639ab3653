import type { Checkpoint } from './checkpoint.ts';

/** The checkpoint `base` with some of it replaced; values come from `base` where nothing else is said. */
export function derived(base: Checkpoint, changes: Partial<Checkpoint>): Checkpoint {
  const { path, format, files, bytes, tensors, metadata, warnings, security } = base;
  return {
    path,
    format,
    files,
    bytes,
    tensors,
    metadata,
    warnings,
    security,
    read: (tensor, start, out, signal) => base.read(tensor, start, out, signal),
    readStored: (tensor, offset, out, signal) => base.readStored?.(tensor, offset, out, signal),
    quantizationDeviation: (tensor, start, length, signal) =>
      base.quantizationDeviation?.(tensor, start, length, signal),
    close: () => base.close(),
    ...changes,
  };
}
