import { basename } from 'node:path';
import manifest from '../../../package.json' with { type: 'json' };
import type { CalibrationReport } from '../../model/calibration.ts';
import { forward } from '../../network/forward.ts';
import { inputGroups } from '../../network/inputGroups.ts';
import { openNetwork } from '../../network/network.ts';
import { readWindows } from '../../network/readWindows.ts';
import { tokensIn } from '../../network/windows.ts';
import type { CalibrateRequest, CallContext, EvaluateProgress } from '../../protocol/service.ts';
import { type Opened, refuseChanged } from '../checkpoints/opened.ts';
import type { Devices } from '../devices/devices.ts';
import { passProgress } from '../evaluate/passProgress.ts';
import { InputStatistics } from './inputStatistics.ts';
import { writeActivations } from './writeActivations.ts';

/**
 * Passes a text through the network of a checkpoint, and writes the statistics of its layers' inputs while it does.
 * @throws RankscopeError 'not-finite' for weights or inputs that are NaN or infinite, what reading the text and the
 *   weights throws, and what writing throws; nothing is left of an unfinished file
 */
export async function calibrate(
  devices: Devices,
  { checkpoint }: Opened,
  request: CalibrateRequest,
  { signal, progress }: CallContext<EvaluateProgress>,
): Promise<CalibrationReport> {
  const started = performance.now();
  const { out, overwrite = false } = request;
  const network = await openNetwork(checkpoint, { signal });
  progress?.({ done: 0, total: 0, message: 'Reading the text' });
  const { windows, facts, notes } = await readWindows(checkpoint, network, request, signal);
  const groups = inputGroups(network);
  const short: CalibrationReport['short'][number][] = [];
  const origin = {
    model: basename(checkpoint.path),
    text: facts.name,
    producer: `rankscope ${manifest.version}`,
  };
  const texts = [request.text, request.ids].filter((file) => file !== undefined);
  const sources = [...checkpoint.files.map(({ path }) => path), ...texts];
  const { bytes, engine } = await devices.run(
    devices.settle(request),
    checkpoint.path,
    { signal },
    async (backend, letOthers) => {
      short.length = 0;
      const written = await writeActivations({ out, overwrite, sources }, groups, origin, async (take) => {
        const observer = new InputStatistics(
          backend,
          groups,
          async (group, r, tokens) => {
            if (tokens < group.inputs) short.push({ name: group.name, tokens, inputs: group.inputs });
            await take(group, r, tokens);
          },
          signal,
        );
        const share = passProgress(network.decoder.layers.length, progress);
        await forward({ network, backend, windows, observer, letOthers, signal, progress: share });
        await refuseChanged(checkpoint);
      });
      return { bytes: written, engine: backend.info };
    },
  );
  return {
    format: 'rankscope.calibration/1',
    out,
    bytes,
    text: facts,
    tokens: tokensIn(windows),
    groups: groups.length,
    matrices: groups.reduce((sum, { matrices }) => sum + Object.keys(matrices).length, 0),
    short,
    engine,
    seconds: (performance.now() - started) / 1000,
    notes,
  };
}
