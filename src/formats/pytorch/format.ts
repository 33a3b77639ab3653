import { RankscopeError } from '../../base/errors.ts';
import { isPickle } from '../../bytes/pickle/scan.ts';
import { findingsOf, warningsOf, withWarnings } from '../../bytes/pickle/security.ts';
import { nothingSeen, type Seen } from '../../bytes/pickle/state.ts';
import type { FileSource } from '../../bytes/source/fileSource.ts';
import { isZip, openZip } from '../../bytes/zip/archive.ts';
import { type Checkpoint, checkpointOver } from '../../checkpoint/checkpoint.ts';
import type { Format, OpenContext } from '../format.ts';
import type { PickledDirectory } from './directory.ts';
import { readPickleFile } from './legacyFile.ts';
import { isTorchTar, readTorchTar } from './tarFile.ts';
import { isTorchArchive, readTorchArchive } from './zipFile.ts';

/**
 * Files that torch.save and torch.jit.save have written since 2016, and other pickles of arrays.
 *
 * These files are pickles, and unpickling in Python calls whatever the file names. Nothing of a pickle is executed
 * here: the reader in `bytes/pickle` is our own interpreter of the opcodes, which turns every class and function that a
 * pickle names, and every call of one, into inert data. The readers in this folder recognize tensors among these data
 * by the names of the functions that would rebuild them (`pickledTensor.ts`), and what else a pickle names
 * is reported as a security finding. Why the reader is our own is said in `bytes/pickle/machine.ts`.
 */
export const pytorch: Format = {
  name: 'pytorch',
  extensions: ['.pt', '.pth', '.bin', '.ckpt', '.jit', '.ptl', '.pkl', '.pickle'],
  recognizes: (head) => isPickle(head) || isTorchTar(head),
  recognizesArchive: isTorchArchive,
  entryOf: (names) => ['pytorch_model.bin', 'adapter_model.bin'].find((name) => names.includes(name)),
  open: openPytorch,
};

async function openPytorch(source: FileSource, { path, remarks, signal, allowance }: OpenContext): Promise<Checkpoint> {
  const seen = nothingSeen(allowance);
  const directory = await read(source, seen, signal).catch((error: unknown) => {
    throw isJoblib(seen) ? joblibError(source.name, seen) : error;
  });
  const warnings = warningsOf(seen);
  if (directory.tensors.length === 0) {
    const reasons = [...directory.remarks, ...warnings].join(' ');
    throw new RankscopeError('not-a-checkpoint', source.name, 'this pickle contains no tensors', reasons);
  }
  return checkpointOver(
    {
      path,
      format: 'pytorch',
      files: [source.identity],
      tensors: directory.tensors,
      metadata: new Map(),
      warnings: [...remarks, ...warnings, ...directory.remarks],
      security: findingsOf(seen),
    },
    [source],
  );
}

function isJoblib({ globals }: Seen): boolean {
  return [...globals.values()].some(({ module }) => module === 'joblib.numpy_pickle');
}

function joblibError(file: string, seen: Seen): RankscopeError {
  return new RankscopeError(
    'unsupported',
    file,
    'this is a joblib file, whose arrays lie between the opcodes of its pickle',
    withWarnings('Load it where you trust it, and write its arrays with numpy.savez', seen),
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
      'this is neither a zip archive nor a pickle, so it is not a PyTorch file',
      'Give it the extension of its actual format, or download it again',
    );
  return readPickleFile(source, seen, signal);
}
