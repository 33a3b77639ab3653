import { formatBytes, formatCount } from '../../base/quantities.ts';
import type { LoraWriteRequest, LoraWritten } from '../../model/lora/written.ts';
import type { Invocation, OptionTable } from '../command.ts';
import { textOf, UsageError } from '../command.ts';
import { jsonPieces } from '../output.ts';
import { digits, shortNames, table } from '../table.ts';

export const WRITING: OptionTable = {
  out: { type: 'string' },
  force: { type: 'boolean' },
  json: { type: 'boolean' },
};
/** @param schema the name of that of the result */
export const writingHelp = (schema: string): string => `  --force             replace files that exist
  --json              print one JSON object (schema: media/schemas/${schema}.schema.json)`;

/** The target and permission that commands take that write. @throws UsageError */
export function targetOf({ values }: Invocation): { out: string; overwrite: boolean } {
  const out = textOf(values, 'out');
  if (out === undefined) throw new UsageError('--out is missing');
  return { out, overwrite: values.force === true };
}

export async function showWritten({ service, terminal, values }: Invocation, request: LoraWriteRequest): Promise<void> {
  const { signal, progress } = terminal;
  const written = await service.loraWrite(request, { signal, progress });
  await terminal.write(values.json === true ? jsonPieces(written) : report(written));
}

function* report({ layers, parametersBefore, parametersAfter, bytes, out, remarks }: LoraWritten): Generator<string> {
  const names = shortNames(layers.map(({ name }) => name));
  const cleaned = layers.some(({ intruders }) => intruders !== undefined);
  yield* table(
    ['layer', 'rank before', 'rank', cleaned ? 'intruders (cosine)' : 'error'],
    layers.map(({ rankBefore, rank, error, intruders }, index) => [
      names[index]!,
      String(rankBefore),
      String(rank),
      intruders
        ? intruders.map(({ singularValue, cosine }) => `${digits(singularValue)} (${cosine.toFixed(2)})`).join(', ') ||
          '-'
        : error === null
          ? '-'
          : digits(error),
    ]),
  );
  if (parametersBefore !== parametersAfter)
    yield `\n${formatCount(parametersBefore)} parameters became ${formatCount(parametersAfter)}`;
  yield out === null ? '\nNothing was written: that takes --out\n' : `\nWritten to ${out}, ${formatBytes(bytes)}\n`;
  for (const remark of remarks) yield `${remark}\n`;
}
