import * as vscode from 'vscode';
import { RankscopeError } from '../../base/errors.ts';
import { installPackage } from '../../window/engine/installPackage.ts';
import { requireTrust } from '../pages/save.ts';
import type { Workbench } from '../workbench.ts';

const PACKAGE = '@tensorflow/tfjs-node-gpu@4.22.0';

/** Where the TensorFlow engine is installed, and where the engine process looks for it. */
export function tensorFlowFolder(context: vscode.ExtensionContext): string {
  return vscode.Uri.joinPath(context.globalStorageUri, 'tensorflow').fsPath;
}

/** Downloads the TensorFlow (CUDA) engine once the user agrees, with progress and cancellation. */
export async function installTensorFlow({ context, engine, log }: Workbench): Promise<void> {
  requireTrust();
  if (!['linux', 'win32'].includes(process.platform) || process.arch !== 'x64') {
    const found = `not available for ${process.platform} on ${process.arch}`;
    throw new RankscopeError(
      'unsupported',
      'the TensorFlow (CUDA) engine',
      found,
      'Use the webgpu engine, which runs on GPUs of every vendor',
    );
  }
  const detail = `npm downloads ${PACKAGE} and the TensorFlow library (about 500 MB) into the extension’s storage. It needs an NVIDIA GPU with CUDA 11.2 and cuDNN 8.1.`;
  if (
    (await vscode.window.showInformationMessage(
      'Install the TensorFlow (CUDA) engine?',
      { modal: true, detail },
      'Install',
    )) === undefined
  )
    return;
  const location = vscode.ProgressLocation.Notification;
  await vscode.window.withProgress(
    { location, title: 'Installing the TensorFlow engine', cancellable: true },
    async (progress, token) => {
      const abort = new AbortController();
      token.onCancellationRequested(() => abort.abort());
      const line = (text: string) => {
        log.info(`[npm] ${text}`);
        progress.report({ message: text.slice(0, 80) });
      };
      await installPackage(tensorFlowFolder(context), PACKAGE, { signal: abort.signal, line });
    },
  );
  engine.stop();
  const choice = await vscode.window.showInformationMessage('The TensorFlow engine is installed.', 'Use It Now');
  if (choice !== undefined)
    await vscode.workspace
      .getConfiguration('rankscope')
      .update('engine', 'tensorflow', vscode.ConfigurationTarget.Global);
}
