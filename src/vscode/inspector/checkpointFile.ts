import type * as vscode from 'vscode';
import { RankscopeError } from '../../base/errors.ts';

/** Extensions of files that may be checkpoints, as in the menus of package.json. */
export const CHECKPOINT_ENDINGS = [
  'safetensors',
  'gguf',
  'pt',
  'pth',
  'bin',
  'ckpt',
  'onnx',
  'h5',
  'hdf5',
  'keras',
  'npz',
  'npy',
] as const;

/** Files that hold nothing but weights: the inspector is their default editor. */
export const WEIGHT_ENDINGS: readonly string[] = ['safetensors', 'gguf'];

/**
 * The path of `uri` for the engine process.
 * @throws RankscopeError 'unsupported' for anything but a file on the machine that runs the extension.
 */
export function checkpointPath(uri: vscode.Uri): string {
  if (uri.scheme === 'file') return uri.fsPath;
  throw new RankscopeError(
    'unsupported',
    uri.toString(true),
    `checkpoints cannot be read through "${uri.scheme}:", only from files on disk`,
    'Save the checkpoint to a folder on the machine that this window is connected to, and open it there',
  );
}
