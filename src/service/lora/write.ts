import type { LoraWriteRequest, LoraWritten } from '../../model/lora/written.ts';
import type { CallContext, StepProgress } from '../../protocol/service.ts';
import type { OpenCheckpoints } from '../checkpoints/opened.ts';
import type { Devices } from '../devices/devices.ts';
import { clean } from './clean.ts';
import { combine } from './combine.ts';
import { convert } from './convert.ts';
import { mergeInto } from './mergeInto.ts';
import { resize } from './resize.ts';

/** Writes an adapter, or a model, that is made of adapters. */
export function writeLora(
  devices: Devices,
  checkpoints: OpenCheckpoints,
  request: LoraWriteRequest,
  context: CallContext<StepProgress>,
): Promise<LoraWritten> {
  const { signal } = context;
  if (request.kind === 'resize')
    return checkpoints.use(request.path, signal, (opened) => resize(opened, request, context));
  if (request.kind === 'combine')
    return checkpoints.useAll(request.paths, signal, (opened) => combine(devices, opened, request, context));
  if (request.kind === 'clean')
    return checkpoints.useAll([request.path, request.base], signal, ([adapter, model]) =>
      clean(devices, adapter!, model!, request, context),
    );
  const { base, path } = request;
  const paths = base === undefined ? [path] : [path, base];
  return checkpoints.useAll(paths, signal, ([adapter, model]) =>
    request.kind === 'into'
      ? mergeInto(adapter!, model!, request, context)
      : convert(adapter!, model, request, context),
  );
}
