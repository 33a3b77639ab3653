import { RankscopeError } from '../base/errors.ts';
import { elementCount } from '../base/shape.ts';
import { MAX_EXPERTS } from '../bytes/limits.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import { type Tensor, valuesOf } from '../checkpoint/tensor.ts';
import type { Statistics, StatisticsEntry } from './statistics.ts';

const [SUMS, COUNTS] = ['.in_sum2', '.counts'];
const DATASETS = 'imatrix.datasets';

/**
 * The importance matrix that llama-imatrix writes as GGUF: for each weight NAME the sums of squares of its inputs over
 * the tokens, `NAME.in_sum2` ([n], or [experts, n] for a stack), and `NAME.counts`, the tokens of each expert, or of
 * all.
 * @throws RankscopeError 'wrong-use' for a GGUF file of another kind, 'malformed'
 */
export async function imatrixGguf(checkpoint: Checkpoint, signal: AbortSignal | undefined): Promise<Statistics> {
  const { path, metadata, tensors, files } = checkpoint;
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const sums = tensors.filter(({ name }) => name.endsWith(SUMS));
  if (sums.length === 0)
    throw new RankscopeError(
      'wrong-use',
      path,
      `it is a GGUF file without sums of squares (NAME${SUMS}), so no imatrix`,
      'Name a file that llama-imatrix or rankscope calibrate wrote',
    );
  const entries: StatisticsEntry[] = [];
  let most = 0;
  for (const tensor of sums) {
    const name = tensor.name.slice(0, -SUMS.length);
    const length = elementCount(tensor.shape);
    const counts = await countsOf(path, byName.get(name + COUNTS), name, signal);
    if (length === 0 || length % counts.length !== 0)
      throw malformed(path, `${tensor.name} has ${length} values for ${counts.length} counts`);
    for (const count of counts) most = Math.max(most, count);
    entries.push({
      name,
      length,
      // Files made from older ones have one count for all experts.
      tokens: (slice) => counts[counts.length === 1 ? 0 : slice] ?? null,
      read: (start, out, cancel) => tensor.read(start, out, cancel),
      storage: tensor.storage,
    });
  }
  const datasets = (await checkpoint.list?.(DATASETS, signal)) ?? [];
  const [text = null] = datasets instanceof Float64Array ? [] : datasets.slice(0, 1);
  const model = metadata.get('general.name') ?? null;
  return {
    summary: { path, kind: 'diagonal', text, model, producer: 'llama.cpp', tokens: most },
    naming: 'llama.cpp',
    entries,
    file: files[0]!,
    close: () => checkpoint.close(),
  };
}

async function countsOf(
  path: string,
  tensor: Tensor | undefined,
  name: string,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  if (!tensor) throw malformed(path, `${name}${COUNTS} is missing`);
  const elements = elementCount(tensor.shape);
  if (elements === 0 || elements > MAX_EXPERTS) throw malformed(path, `${tensor.name} has ${elements} counts`);
  const counts = await valuesOf(tensor, signal);
  const wrong = counts.find((count) => !(count >= 0 && Number.isInteger(count)));
  if (wrong !== undefined) throw malformed(path, `${tensor.name} holds ${wrong}`);
  return counts;
}

function malformed(path: string, found: string): RankscopeError {
  return new RankscopeError('malformed', path, found, 'It is damaged: make it again with llama-imatrix');
}
