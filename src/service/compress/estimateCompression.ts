import type { CompressionEstimate, CompressRequest } from '../../model/compression.ts';
import { openNetwork } from '../../network/network.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { estimated, tokensAhead, tokensOf } from './estimated.ts';
import { knownLosses, type PlanningParts } from './planForCompression.ts';
import { checkCompression, resultFiles } from './resultFiles.ts';
import { hasText, prepareText } from './textForCompression.ts';

/**
 * What a compression would take, with the warnings about its text; writes nothing.
 * @throws RankscopeError as `compress` does before it begins
 */
export async function estimateCompression(
  parts: PlanningParts,
  opened: Opened,
  request: CompressRequest,
  signal: AbortSignal | undefined,
): Promise<CompressionEstimate> {
  const { checkpoint } = opened;
  checkCompression(request);
  await resultFiles(request, checkpoint);
  const network = await openNetwork(checkpoint, { signal });
  const text = hasText(request) ? await prepareText(checkpoint, network, request, undefined, signal) : undefined;
  const tokens = text ? tokensOf(text) : tokensAhead(request, network);
  const isMeasured =
    text !== undefined && (await knownLosses({ parts, opened, network, request, text, signal })) !== undefined;
  const { devices } = parts;
  const estimate = await devices.run(devices.settle(request), checkpoint.path, { signal }, (backend) =>
    estimated({ backend, opened, network, request, tokens, isMeasured, known: undefined, signal }),
  );
  return { ...estimate, notes: [...(text?.notes ?? []), ...estimate.notes] };
}
