import { basename } from 'node:path';
import * as vscode from 'vscode';
import type { ApplyCalibration } from '../../protocol/service.ts';
import { textFileOf } from '../../window/textFile.ts';
import { pickText } from '../evaluation/pickText.ts';
import { collectionLimits } from '../settings.ts';
import type { Workbench } from '../workbench.ts';

/**
 * Asks on what the matrices of a plan are truncated: their weights alone, a text, or the statistics that the
 * inspector of the checkpoint uses. Undefined if the user cancels.
 */
export async function pickCalibration(
  workbench: Workbench,
  path: string,
): Promise<{ readonly calibration?: ApplyCalibration } | undefined> {
  const { statisticsPath } = workbench.store.get(path);
  const picked = await vscode.window.showQuickPick(
    [
      { id: 'text', label: 'A text…', description: 'block by block, on what the smaller model gives each layer' },
      ...(statisticsPath === null
        ? []
        : [
            {
              id: 'statistics',
              label: basename(statisticsPath),
              description: 'the activations in use, without a pass',
            },
          ]),
      { id: 'weights', label: 'The weights alone', description: 'for models that are not language models' },
    ],
    { title: 'Truncate the Matrices On', placeHolder: 'What the factors should lose least of' },
  );
  if (picked?.id === 'weights') return {};
  if (picked?.id === 'statistics') return { calibration: { file: statisticsPath! } };
  const file = picked && (await pickText(workbench, 'calibration'));
  if (file === undefined) return undefined;
  const { ids } = await textFileOf(file);
  return { calibration: { ...(ids === undefined ? { file } : { ids }), ...collectionLimits() } };
}
