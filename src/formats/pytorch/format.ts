import { RankscopeError } from '../../base/errors.ts';
import { findingsOf, warningOf } from '../../bytes/pickle/security.ts';
import type { Seen } from '../../bytes/pickle/state.ts';
import type { FileSource } from '../../bytes/source/fileSource.ts';
import { isZip, openZip } from '../../bytes/zip/archive.ts';
import { type Checkpoint, checkpointOver } from '../../checkpoint/checkpoint.ts';
import type { Format, OpenContext } from '../format.ts';
import type { PickledDirectory } from './directory.ts';
import { readPickleFile } from './legacyFile.ts';
import { isTorchTar, readTorchTar } from './tarFile.ts';
import { isTorchArchive, readTorchArchive } from './zipFile.ts';

/** What torch.save and torch.jit.save have written since 2016, and other pickles of arrays. Nothing of a pickle is ever run. */
export const pytorch: Format = {
  name: 'pytorch',
  extensions: ['.pt', '.pth', '.bin', '.ckpt', '.jit', '.ptl', '.pkl', '.pickle'],
  recognizes: (head) => isPickle(head) || isTorchTar(head),
  recognizesArchive: isTorchArchive,
  entryOf: (names) => ['pytorch_model.bin', 'adapter_model.bin'].find((name) => names.includes(name)),
  open: openPytorch,
};

/** A pickle of protocol 2 to 5: its protocol, then what any pickle of a container or a class can begin with. */
function isPickle(head: Uint8Array): boolean {
  const [mark, protocol = 0, next = 0] = head;
  return (
    mark === 0x80 &&
    protocol >= 2 &&
    protocol <= 5 &&
    (next === 0x95 || '}](cX\x8a\x8c'.includes(String.fromCharCode(next)))
  );
}

async function openPytorch(source: FileSource, { path, remarks, signal, allowance }: OpenContext): Promise<Checkpoint> {
  const seen: Seen = { globals: new Map(), persistents: [], inlined: [], allowance };
  const directory = await read(source, seen, signal);
  const security = findingsOf(seen.globals.values());
  const warning = warningOf(security);
  if (directory.tensors.length === 0)
    throw new RankscopeError('not-a-checkpoint', source.name, 'this pickle holds no tensors', warning);
  return checkpointOver(
    {
      path,
      format: 'pytorch',
      files: [source.identity],
      tensors: directory.tensors,
      metadata: new Map(),
      warnings: [...remarks, ...(warning ? [warning] : []), ...directory.remarks],
      security,
    },
    [source],
  );
}

async function read(source: FileSource, seen: Seen, signal: AbortSignal | undefined): Promise<PickledDirectory> {
  const head = await source.read(0, Math.min(512, source.size), signal);
  if (isZip(head))
    return readTorchArchive(source.identity, await openZip(source, signal, seen.allowance), seen, signal);
  if (isTorchTar(head)) return readTorchTar(source, seen, signal);
  if (!isPickle(head) && !/^[(\]}lcd]/.test(Buffer.from(head).toString('latin1')))
    throw new RankscopeError(
      'not-a-checkpoint',
      source.name,
      'this is neither a zip archive nor a pickle, as a PyTorch file would be',
      'Name it after its real kind, or get it again',
    );
  return readPickleFile(source, seen, signal);
}
