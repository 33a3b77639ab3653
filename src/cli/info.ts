import { formatBytes, formatCount } from '../base/quantities.ts';
import { layerCount } from '../model/place.ts';
import type { CheckpointView } from '../protocol/service.ts';
import { COMMON_HELP, type Command, type Invocation } from './command.ts';
import { jsonPieces } from './output.ts';
import { table } from './table.ts';

export const infoCommand: Command = {
  name: 'info',
  usage: 'PATH [--json]',
  summary: 'what is in a checkpoint, from its header alone',
  help: `  PATH                a checkpoint file, a shard index (*.index.json), or a folder
  --json              print one JSON object
${COMMON_HELP}

Example:
  rankscope info model.safetensors`,
  options: { json: { type: 'boolean' } },
  async run({ path, values, terminal, service }: Invocation): Promise<void> {
    const view = await service.open({ path }, { signal: terminal.signal });
    await terminal.write(values.json === true ? jsonPieces(infoOf(view)) : report(view));
  },
};

/** The object that `info --json` prints. */
function infoOf(view: CheckpointView): Record<string, unknown> {
  const { path, format, parameters, bytes, tensors, ties, warnings, security } = view;
  const checkpoint = { path, format, parameters, bytes };
  return { format: 'rankscope.info/1', checkpoint, tensors, ties, warnings, security };
}

function* report(view: CheckpointView): Generator<string> {
  yield `${view.path}: ${view.format}, ${formatCount(view.parameters)} parameters, ${formatBytes(view.bytes)}, `;
  yield `${view.tensors.length} tensors\n`;
  yield `${view.family ?? 'Unknown architecture'}, ${layerCount(view, true)}, ${view.matrices.length} matrices to analyze\n\n`;
  yield* table(
    ['tensor', 'dtype', 'shape', 'bytes'],
    view.tensors.map(({ name, dtype, shape, bytes }) => [name, dtype, shape.join('x') || 'scalar', String(bytes)]),
  );
  if (view.ties.length + view.warnings.length + view.security.length > 0) yield '\n';
  for (const names of view.ties) yield `Tied, counted once: ${names.join(', ')}\n`;
  for (const warning of view.warnings) yield `Note: ${warning}\n`;
  for (const { grade, subject, explanation } of view.security)
    yield `Security (${grade}): ${subject}: ${explanation}\n`;
}
