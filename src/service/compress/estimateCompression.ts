import type { CompressionEstimate, CompressRequest } from '../../model/compression.ts';
import { openNetwork } from '../../network/network.ts';
import type { Opened } from '../checkpoints/opened.ts';
import type { Devices } from '../devices/devices.ts';
import { estimated, tokensOf } from './estimated.ts';
import { checkCompression, resultFiles } from './resultFiles.ts';
import { prepareText, tokensWanted } from './textForCompression.ts';

/**
 * What a compression would take, with the warnings about its text; writes nothing.
 * @throws RankscopeError as `compress` does before it begins
 */
export async function estimateCompression(
  devices: Devices,
  opened: Opened,
  request: CompressRequest,
  signal: AbortSignal | undefined,
): Promise<CompressionEstimate> {
  const { checkpoint } = opened;
  checkCompression(request);
  await resultFiles(request, checkpoint);
  const network = await openNetwork(checkpoint, { signal });
  const isGiven = request.text !== undefined || request.ids !== undefined;
  const text = isGiven ? await prepareText(checkpoint, network, request, undefined, signal) : undefined;
  const wanted = tokensWanted(request, network.decoder.context);
  const tokens = text ? tokensOf(text) : { ...wanted, sampled: wanted.all };
  const estimate = await devices.run(devices.settle(request), checkpoint.path, { signal }, (backend) =>
    estimated({ backend, network, request, tokens, known: undefined }),
  );
  return { ...estimate, notes: [...(text?.notes ?? []), ...estimate.notes] };
}
