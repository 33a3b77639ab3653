import { formatBytes, formatCount } from '../base/quantities.ts';
import type { CalibrationReport } from '../model/calibration.ts';
import {
  COMMON_HELP,
  type Command,
  ENGINE,
  ENGINE_HELP,
  engineOf,
  type Invocation,
  textOf,
  UsageError,
} from './command.ts';
import { jsonPieces } from './output.ts';
import { PYTHON, PYTHON_HELP, PYTHON_VALUE, writePython } from './python.ts';
import { TEXT, TEXT_HELP, textRequestOf, WINDOWS_HELP, windowsInWords } from './textOptions.ts';

export const calibrateCommand: Command = {
  name: 'calibrate',
  usage: 'PATH --text FILE --out NAME.activations.safetensors [--context N] [--tokens N] [--python [OUT.py]]',
  summary: "statistics of what each layer reads, over a text's tokens",
  help: `  PATH                a checkpoint file, a shard index (*.index.json), or a folder
${TEXT_HELP}
  --out FILE          the file to write: one triangular matrix for the layers that read the same inputs
  --force             replace FILE if it exists
${WINDOWS_HELP}
  --json              print what was written as JSON (schema: media/schemas/calibration.schema.json)
${PYTHON_HELP}
${ENGINE_HELP}
${COMMON_HELP}

Take a text of the kind that the model is used for, and more tokens than the widest layer has inputs.

Examples:
  rankscope calibrate llama/ --text wiki.txt --tokens 16384 --out llama.activations.safetensors
  rankscope analyze llama/ --activations llama.activations.safetensors`,
  options: {
    ...ENGINE,
    ...PYTHON,
    ...TEXT,
    out: { type: 'string' },
    force: { type: 'boolean' },
    json: { type: 'boolean' },
  },
  optionalValues: PYTHON_VALUE,
  run: calibrate,
};

async function calibrate(invocation: Invocation): Promise<void> {
  const { path, values, terminal, service } = invocation;
  const measure = textRequestOf(values);
  const out = textOf(values, 'out');
  const engine = engineOf(values);
  if (values.python !== undefined) return writePython(invocation, { kind: 'calibrate', measure });
  if (out === undefined) throw new UsageError('--out FILE is needed');
  const request = { path, out, ...engine, ...measure, overwrite: values.force === true };
  const { signal, progress } = terminal;
  const written = await service.calibrate(request, { signal, progress });
  await terminal.write(values.json === true ? jsonPieces(written) : report(written));
}

function* report({ out, bytes, text, tokens, groups, matrices, short, engine, seconds, notes }: CalibrationReport) {
  yield `${out}: ${formatBytes(bytes)}, the inputs of ${matrices} matrices in ${groups} groups\n`;
  const rest = text.dropped > 0 ? `; ${formatCount(text.dropped)} of its ${formatCount(text.tokens)} are dropped` : '';
  yield `${text.name}: ${formatCount(tokens)} tokens in ${windowsInWords(text)}${rest}\n`;
  yield `${engine.device}, ${seconds.toFixed(1)} s\n`;
  if (short.length > 0) {
    const [first] = short;
    yield `Fewer tokens than inputs: ${short.length} groups (${first!.name}: ${first!.tokens} of ${first!.inputs}), whose statistics will be shrunk; take a longer text\n`;
  }
  for (const note of notes) yield `${note}\n`;
}
