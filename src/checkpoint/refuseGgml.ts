import { RankscopeError } from '../base/errors.ts';
import type { ByteSource } from '../bytes/source/byteSource.ts';

/** The first four bytes of GGML files before GGUF: letters as a little-endian machine writes them. */
const MAGICS: Readonly<Record<string, string>> = { lmgg: 'ggml', fmgg: 'ggmf', tjgg: 'ggjt', algg: 'ggla' };
const SESSIONS: Readonly<Record<string, string>> = { nsgg: 'ggsn', qsgg: 'ggsq' };

/** The size of Whisper's vocabulary: English, multilingual, and since large-v3. */
const WHISPER = [51864, 51865, 51866];

/**
 * Refuses a GGML file of the time before GGUF (March to August 2023; whisper.cpp still writes them). They have no
 * directory: where a tensor is, and even how long the head is, depends on the program that wrote the file.
 * @throws RankscopeError 'unsupported'
 */
export function refuseGgml(source: ByteSource, head: Uint8Array): void {
  if (head.length < 4) return;
  const start = Buffer.from(head.buffer, head.byteOffset, head.length);
  const letters = start.toString('latin1', 0, 4);
  const fail = (found: string, remedy: string) => {
    throw new RankscopeError('unsupported', source.name, found, remedy);
  };
  if (Object.hasOwn(SESSIONS, letters))
    fail(`this is a saved session of llama.cpp (${SESSIONS[letters]}), not weights`, 'Open the model instead');
  if (!Object.hasOwn(MAGICS, letters)) return;
  const magic = MAGICS[letters]!;
  const version = start.length >= 8 && magic !== 'ggml' ? ` version ${start.readUInt32LE(4)}` : '';
  const found = `this is a GGML file (${magic}${version}), the form before GGUF, which is not supported`;
  const original = 'open the model that it was converted from, as safetensors or PyTorch file';
  if (magic === 'ggla') fail(`${found}: a LoRA adapter of llama.cpp`, `Instead, ${original}`);
  if (magic === 'ggml' && start.length >= 8 && WHISPER.includes(start.readUInt32LE(4)))
    fail(`${found}: a model of whisper.cpp`, `Instead, ${original}`);
  if (magic === 'ggmf' && start.length >= 8 && [100, 101].includes(start.readUInt32LE(4)))
    fail(`${found}: a model of rwkv.cpp`, `Instead, ${original}`);
  fail(
    found,
    `Convert it with convert_llama_ggml_to_gguf.py of llama.cpp if it is a LLaMA model; otherwise ${original}`,
  );
}
