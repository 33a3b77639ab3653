import type { Pause } from '../../base/eventLoop.ts';
import type { Backend } from '../../devices/backend.ts';
import type { BeforeAndAfter } from '../../model/compression.ts';
import { forward } from '../../network/forward.ts';
import type { Network } from '../../network/network.ts';
import { Scores, scoredTokens } from '../../network/score.ts';
import type { PreparedText } from './textForCompression.ts';

interface MeasureOptions<Progress> {
  readonly letOthers: Pause | undefined;
  readonly signal: AbortSignal | undefined;
  readonly progress: (value: Progress) => void;
}

/** Measures a network before and after on windows that the compression read, as many as of those that it did not. */
export async function measureResult(
  backend: Backend,
  network: Network,
  compressed: Network,
  { calibration, measured }: PreparedText,
  { letOthers, signal, progress }: MeasureOptions<{ done: number; total: number; message: string }>,
): Promise<{ readonly calibration: BeforeAndAfter; readonly unseen: BeforeAndAfter }> {
  const used = { name: 'calibration windows', windows: calibration.slice(0, measured.windows.length) };
  const total = used.windows.length + measured.windows.length;
  const on = (set: PreparedText['measured'], before: number) =>
    beforeAndAfter(backend, network, compressed, set, {
      letOthers,
      signal,
      progress: (share) =>
        progress({ done: before + share * set.windows.length, total, message: `Measuring on ${set.name}` }),
    });
  return { calibration: await on(used, 0), unseen: await on(measured, used.windows.length) };
}

/** Measures a network before and after on the same windows, in one reading of both. */
async function beforeAndAfter(
  backend: Backend,
  network: Network,
  compressed: Network,
  { name, windows }: { readonly name: string; readonly windows: readonly Int32Array[] },
  { letOthers, signal, progress }: MeasureOptions<number>,
): Promise<BeforeAndAfter> {
  const variant = { name: 'the compressed network', replaced: new Map(), network: compressed };
  const scores = new Scores({ backend, windows, names: [variant.name], subject: network.weights.subject });
  await forward({ network, backend, windows, variants: [variant], take: scores.take, letOthers, signal, progress });
  const { dense, variants } = scores.result();
  return { text: name, windows: windows.length, scored: scoredTokens(windows), dense, compressed: variants[0]! };
}
