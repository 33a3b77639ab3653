import type { Pause } from '../../base/eventLoop.ts';
import type { Backend } from '../../devices/backend.ts';
import type { BeforeAndAfter } from '../../model/compression.ts';
import { forward } from '../../network/forward.ts';
import type { Network } from '../../network/network.ts';
import { Scores, scoredTokens } from '../../network/score.ts';

export interface MeasureOptions {
  readonly letOthers: Pause | undefined;
  readonly signal: AbortSignal | undefined;
  readonly progress: (share: number) => void;
}

/** Measures a network before and after on the same windows, in one reading of both. */
export async function beforeAndAfter(
  backend: Backend,
  network: Network,
  compressed: Network,
  { name, windows }: { readonly name: string; readonly windows: readonly Int32Array[] },
  { letOthers, signal, progress }: MeasureOptions,
): Promise<BeforeAndAfter> {
  const variant = { name: 'the compressed network', replaced: new Map(), network: compressed };
  const scores = new Scores({ backend, windows, names: [variant.name], subject: network.weights.subject });
  await forward({ network, backend, windows, variants: [variant], take: scores.take, letOthers, signal, progress });
  const { dense, variants } = scores.result();
  return { text: name, windows: windows.length, scored: scoredTokens(windows), dense, compressed: variants[0]! };
}
