import type * as vscode from 'vscode';
import { RankscopeError } from '../../base/errors.ts';

/** The endings of files that may be checkpoints, as in the menus of package.json. */
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

/** These hold nothing but weights, so the inspector is their usual editor. */
export const WEIGHT_ENDINGS: readonly string[] = ['safetensors', 'gguf'];

/**
 * The path under which the engine process opens `uri`.
 * @throws RankscopeError 'unsupported' for anything that is not a file where the extension runs.
 */
export function checkpointPath(uri: vscode.Uri): string {
  if (uri.scheme === 'file') return uri.fsPath;
  throw new RankscopeError(
    'unsupported',
    uri.toString(true),
    `a checkpoint of the scheme "${uri.scheme}" cannot be read: weights are read by ranges from files on disk`,
    'Save the checkpoint to a folder of the machine this window works on and open it there',
  );
}
