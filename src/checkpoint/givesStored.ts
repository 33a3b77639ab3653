import type { Checkpoint, TensorInfo } from './checkpoint.ts';

/** Whether `checkpoint.readStored` has the bytes of this tensor: asking for none of them tells. */
export function givesStored(checkpoint: Checkpoint, tensor: TensorInfo): boolean {
  const none = checkpoint.readStored?.(tensor, 0, new Uint8Array(0));
  // What is wrong with the file shows to whoever reads more than nothing.
  none?.catch(() => undefined);
  return none !== undefined;
}
