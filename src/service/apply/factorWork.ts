import type { DeviceRequest } from '../../base/deviceInfo.ts';
import type { FactorizedReport } from '../../model/plan/plan.ts';
import type { ApplyReport, CallContext, StepProgress } from '../../protocol/service.ts';
import { sharedFactors } from '../../spectrum/sharedFactors.ts';
import type { FactorizeRequest } from '../../write/factorized.ts';
import type { Devices } from '../devices/devices.ts';
import { deviceResidual } from '../plan/deviceResidual.ts';
import { networkTriplets } from '../plan/networkTriplets.ts';
import { sharingOf } from '../sharing/sharingOf.ts';
import type { CalibratedFactors } from '../truncation/calibratedFactors.ts';
import { denseProduct } from './denseProduct.ts';

/** A report of a writer; what is said of the model comes from elsewhere. */
export type WriterReport = FactorizedReport & Pick<ApplyReport, 'folder' | 'remarks'>;

/** How factors are computed and measured while a result is written. */
export type FactorWork = ReturnType<typeof factorWork>;

export function factorWork(
  devices: Devices,
  engine: DeviceRequest,
  calibrated: CalibratedFactors | undefined,
  { signal, progress }: CallContext<StepProgress>,
) {
  const work: Pick<FactorizeRequest, 'factorsOf' | 'sharedFactorsOf' | 'residualOf' | 'signal' | 'progress'> = {
    factorsOf: async (matrix, rank) =>
      (await calibrated?.factorsOf(matrix, rank)) ??
      devices.run(engine, matrix.name, { signal }, (backend) => networkTriplets(backend, matrix, rank, signal)),
    sharedFactorsOf: async (group, rank) =>
      (await calibrated?.sharedFactorsOf?.(group, rank)) ??
      devices.run(engine, group.name, { signal }, (backend) =>
        sharedFactors(backend, sharingOf(group), rank, { signal }),
      ),
    residualOf: (matrix, factors) =>
      devices.run(engine, matrix.name, { signal }, (backend) =>
        deviceResidual(backend, matrix.source(), matrix, factors, signal),
      ),
    signal,
    progress: (done, total, message) => progress?.({ done, total, message }),
  };
  return {
    ...work,
    denseOf: (matrix: Parameters<typeof denseProduct>[1], found: Parameters<typeof denseProduct>[2]) =>
      devices.run(engine, matrix.name, { signal }, (backend) => denseProduct(backend, matrix, found, signal)),
    isCalibrated: calibrated !== undefined,
  };
}
