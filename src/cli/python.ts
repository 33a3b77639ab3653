import { basename, parse, resolve } from 'node:path';
import type { ScriptRequest } from '../protocol/service.ts';
import { type Invocation, type OptionTable, textOf } from './command.ts';
import { jsonPieces } from './output.ts';

/** For commands that can also write a script for transformers which does their work. */
export const PYTHON: OptionTable = { python: { type: 'string' } };
export const PYTHON_VALUE = { python: /\.py$/i };
export const PYTHON_HELP = `  --python [OUT.py]   write a script for transformers instead, which does the same for any architecture and GPU;
                      its own --help names its options`;

/** Writes the script; `--out` is what the script will write. */
export async function writePython(
  { path, values, terminal, service }: Invocation,
  script: Pick<ScriptRequest, 'kind' | 'measure' | 'compress'>,
): Promise<void> {
  const code = values.python === '' ? defaultName(path, script.kind) : String(values.python);
  const overwrite = values.force === true || values.overwrite === true;
  const out = textOf(values, 'out');
  const request = { path, ...script, code, overwrite, ...(out === undefined ? {} : { out: resolve(out) }) };
  const written = await service.script(request, { signal: terminal.signal });
  const lines = [
    `Written to ${written.code}. Run it with a Python that has torch, transformers and safetensors:\n`,
    `  python ${quoted(written.code)}\n`,
    `It writes ${written.out}\n`,
  ];
  await terminal.write(values.json === true ? jsonPieces(written) : lines);
}

/** `llama/` becomes `llama.evaluate.py`, in the current folder. */
function defaultName(path: string, kind: ScriptRequest['kind']): string {
  const name = basename(path).replace(/\.index\.json$/i, '');
  return `${/\.\w+$/.test(name) ? parse(name).name : name || 'model'}.${kind}.py`;
}

function quoted(file: string): string {
  return /^[\w./\\:-]+$/.test(file) ? file : JSON.stringify(file);
}
