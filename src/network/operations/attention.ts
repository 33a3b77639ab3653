import type { AttentionInput, AttentionOptions, Matrix } from '../../devices/backend.ts';
import type { Scope } from './run.ts';
import type { Tape } from './tape.ts';

/** Causal attention of queries, keys and values, which stay as they are. */
export async function attention(
  scope: Scope,
  input: AttentionInput,
  settings: Omit<AttentionOptions, 'signal'>,
): Promise<Matrix> {
  const { query, key, value } = input;
  const options = { ...settings, signal: scope.signal };
  const out = await scope.take(query.rows, settings.heads * settings.headSize);
  await scope.backend.network.attend(out, input, options);
  scope.tape?.record([query, key, value], (tape) => attentionBack(tape, out, input, options));
  return out;
}

async function attentionBack(
  tape: Tape,
  out: Matrix,
  { query, key, value }: AttentionInput,
  options: AttentionOptions,
): Promise<void> {
  const { backend } = tape;
  const gradient = tape.take(out);
  if (!gradient) return;
  const taken: Matrix[] = [gradient];
  try {
    for (const { rows, cols } of [query, key, value]) taken.push(await backend.allocate(rows, cols));
    const [, ofQuery, ofKey, ofValue] = taken as [Matrix, Matrix, Matrix, Matrix];
    const out = { query: ofQuery, key: ofKey, value: ofValue };
    await backend.network.attendBack(out, gradient, { query, key, value }, options);
    taken.splice(1);
    await tape.add(query, ofQuery);
    await tape.add(key, ofKey);
    await tape.add(value, ofValue);
  } finally {
    for (const matrix of taken) backend.free(matrix);
  }
}
