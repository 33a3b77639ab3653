/** What the numbers in the names of checkpoints count. */
export type StepUnit = 'step' | 'epoch';

export interface NamedStep {
  readonly unit: StepUnit;
  readonly value: number;
}

const STEP =
  /(?:^|[^a-z])(?:checkpoints?|ckpt|global[-_]?steps?|steps?|iter|iteration|iters|ba|batch|updates?)[-_=.]?(\d{1,15})(k|m)?(?![a-z])/i;
const EPOCH = /(?:^|[^a-z])(?:epochs?|ep)[-_=.]?(\d{1,9})(?![a-z])/i;
const PLAIN = /^(?:model|pytorch_model|adapter|adapter_model|weights)?[-_]?(\d{1,15})$/i;
/** A part of a checkpoint, which is no checkpoint of its own. */
const SHARD = /\d+-of-\d+/;
const ENDING = /\.(safetensors|gguf|pt|pth|bin|ckpt|onnx|h5|hdf5|keras|npz|msgpack)$/i;

/**
 * The step or epoch that the name of a training checkpoint says: `checkpoint-500`, `step1000`, `epoch_3.pt`,
 * `iter_0002000`, `epoch=3-step=1500.ckpt` (the step), `step_10k`. Undefined for other names and for shards.
 */
export function stepOf(name: string): NamedStep | undefined {
  if (SHARD.test(name)) return undefined;
  const stem = name.replace(ENDING, '');
  const step = STEP.exec(stem) ?? PLAIN.exec(stem);
  if (step) return { unit: 'step', value: Number(step[1]) * ({ k: 1e3, m: 1e6 }[step[2]?.toLowerCase() ?? ''] ?? 1) };
  const epoch = EPOCH.exec(stem);
  return epoch ? { unit: 'epoch', value: Number(epoch[1]) } : undefined;
}
