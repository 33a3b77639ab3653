import type { ApplyRequest } from '../../protocol/service.ts';
import type { Opened } from '../checkpoints/opened.ts';

/** The files that no result may replace: the checkpoint, and the text or the statistics of a calibration. */
export function filesRead(
  { calibration }: Pick<ApplyRequest, 'calibration'>,
  { checkpoint }: Pick<Opened, 'checkpoint'>,
): string[] {
  const given = [calibration?.file, calibration?.ids].filter((file) => file !== undefined);
  return [...checkpoint.files.map(({ path }) => path), ...given];
}
