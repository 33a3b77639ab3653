import type { InputFactor } from '../../activations/statistics.ts';
import type { Backend } from '../../devices/backend.ts';
import type { StoredMatrix } from '../../model/storedMatrix.ts';
import type { StoredLinear } from '../../network/blocks/weights.ts';
import { linearOfFactors } from '../../network/variant.ts';
import { type SharedFactors, sharedFactors } from '../../spectrum/sharedFactors.ts';
import { sharedOnSeen } from '../../spectrum/sharedOnSeen.ts';
import type { TruncatedSvd } from '../../spectrum/truncated.ts';
import { truncateOnSeen } from '../../spectrum/truncateOnSeen.ts';
import { writtenFactors } from '../../write/factorTensors.ts';
import type { SharedGroup } from '../../write/metadata.ts';
import type { WrittenFactors } from '../../write/residual.ts';
import { writtenShared } from '../../write/sharedTensors.ts';
import { shrinkageOf } from '../activations/seen.ts';
import { fitsLane } from '../devices/devices.ts';
import { JobQueue } from '../devices/jobQueue.ts';
import { networkTriplets } from '../plan/networkTriplets.ts';
import { seenSharing } from '../sharing/seenSharing.ts';
import { sharingOf } from '../sharing/sharingOf.ts';
import { tripletsOf } from '../truncation/found.ts';

/** A matrix that a variant holds as factors. */
export interface Cut {
  readonly matrix: StoredMatrix;
  readonly rank: number;
  /** 2: W = B A. 3: W = U S V. */
  readonly factors: 2 | 3;
  /** The matrices that share its factor A; the same object in all their cuts. */
  readonly group?: SharedGroup;
}

/** How factors are found. */
interface Decompositions {
  readonly decompose: (matrix: StoredMatrix, rank: number) => Promise<Decomposed>;
  readonly share: (group: SharedGroup, rank: number) => Promise<SharedFactors>;
}

/** Triplets whose first ones are the best of a lower rank. */
export interface Decomposed extends TruncatedSvd {
  /** Singular values of W X, if these are those of the best W' on its inputs; `frobeniusNorm` is then that of W X. */
  readonly seen?: Float64Array;
}

interface Entry {
  /** The largest rank that any variant needs. */
  readonly most: number;
  /** How often it will still be asked for. */
  left: number;
  found?: Promise<Decomposed>;
}

/**
 * Factors for all variants from one decomposition of each matrix, which is made when the first variant asks for it and
 * forgotten when the last one did: a forward pass thus holds those of one block, or of the layers that share a factor.
 */
export class FactorStore {
  private readonly entries = new Map<string, Entry>();
  private readonly lost = new Map<string, Map<number, number>>();
  private readonly groups = new Map<SharedGroup, { left: number; found?: Promise<WrittenFactors[]> }>();

  constructor(
    private readonly how: Decompositions,
    /** Every request that will come. */
    cuts: Iterable<Cut>,
  ) {
    for (const { matrix, rank, group } of cuts) {
      if (group) {
        this.groups.set(group, { left: (this.groups.get(group)?.left ?? 0) + 1 });
        continue;
      }
      const { most = 0, left = 0 } = this.entries.get(matrix.name) ?? {};
      this.entries.set(matrix.name, { most: Math.max(most, rank), left: left + 1 });
    }
  }

  /** As `apply` would write them. */
  async take({ matrix, rank, factors, group }: Cut): Promise<StoredLinear> {
    const { name } = matrix;
    if (group) return linearOfFactors(name, matrix.shape, await this.takeShared(group, matrix, rank));
    const entry = this.entries.get(name)!;
    entry.found ??= this.how.decompose(matrix, entry.most);
    const whole = await entry.found;
    if (--entry.left === 0) delete entry.found;
    this.note(name, rank, whole);
    return linearOfFactors(name, matrix.shape, writtenFactors(matrix, whole, rank, factors));
  }

  private async takeShared(group: SharedGroup, matrix: StoredMatrix, rank: number): Promise<WrittenFactors> {
    const entry = this.groups.get(group)!;
    entry.found ??= this.how.share(group, rank).then((found) => writtenShared(group, rank, found));
    const all = await entry.found;
    if (--entry.left === 0) delete entry.found;
    return all[group.matrices.indexOf(matrix)]!;
  }

  /** The squared relative error of a matrix at a rank that was taken; undefined if it was not. */
  lostShare({ matrix, rank }: Cut): number | undefined {
    return this.lost.get(matrix.name)?.get(rank);
  }

  /** Eckart-Young: the squares of the values left out, over all. */
  private note(name: string, rank: number, { values, seen = values, frobeniusNorm }: Decomposed): void {
    const known = this.lost.get(name) ?? new Map<number, number>();
    this.lost.set(name, known);
    const kept = seen.subarray(0, rank).reduce((sum, value) => sum + value * value, 0);
    known.set(rank, frobeniusNorm > 0 ? Math.max(0, 1 - kept / frobeniusNorm ** 2) : 0);
  }
}

/**
 * As a device finds them, those of small matrices side by side; on inputs where they are known.
 * @param seen statistics by the names of matrices
 */
export function decompositions(
  backend: Backend,
  signal: AbortSignal | undefined,
  seen: ReadonlyMap<string, InputFactor> = new Map(),
): Decompositions {
  const { lanes } = backend;
  const queue = new JobQueue(lanes?.count);
  const on = (lane: number | undefined) => (lane === undefined ? backend : lanes!.at(lane));
  const decompose = async (device: Backend, matrix: StoredMatrix, rank: number) => {
    const factor = seen.get(matrix.name);
    if (!factor) return networkTriplets(device, matrix, rank, signal);
    const stored = { source: matrix.source(), transposed: matrix.transposed };
    const seenBy = { ...factor, shrinkage: shrinkageOf(factor) };
    const { values, frobeniusNorm, ...factors } = await truncateOnSeen(device, stored, seenBy, rank, { signal });
    return { ...tripletsOf(factors, rank), seen: values, frobeniusNorm };
  };
  const share = (group: SharedGroup, rank: number) => {
    const factors = group.matrices.map(({ name }) => seen.get(name));
    return factors.every((factor) => factor !== undefined)
      ? sharedOnSeen(backend, seenSharing(group, factors), rank, { signal })
      : sharedFactors(backend, sharingOf(group), rank, { signal });
  };
  return {
    decompose(matrix, rank) {
      const beside = fitsLane(matrix, lanes?.count ?? 1, 'triplets');
      return queue.run(matrix.name, (lane) => decompose(on(lane), matrix, rank), { beside, signal });
    },
    share: (group, rank) => queue.run(group.name, () => share(group, rank), { signal }),
  };
}
