import type { Pause } from '../../../base/eventLoop.ts';
import type { Backend } from '../../../devices/backend.ts';
import type { PlanRequest } from '../../../model/plan/plan.ts';
import type { Network } from '../../../network/network.ts';
import type { TextWindows } from '../../../network/readWindows.ts';
import type { EvaluateProgress } from '../../../protocol/service.ts';
import type { Activations } from '../../activations/withActivations.ts';
import type { Cache } from '../../cache/cache.ts';
import type { Opened } from '../../checkpoints/opened.ts';

/** What a plan by what a text does is made from. */
export interface InputPlan {
  readonly opened: Opened;
  readonly network: Network;
  readonly backend: Backend;
  readonly cache: Cache;
  /** Its spread is `activations` or `loss`. */
  readonly request: PlanRequest;
  /** For divergences, which take its first 1,024 tokens, and for the statistics where none are given. */
  readonly text?: Pick<TextWindows, 'windows' | 'facts'> | undefined;
  /** Statistics of the inputs, in place of those of the text. */
  readonly statistics?: Activations | undefined;
  /** What measuring may take; divergences that it does not allow are filled in. No limit by default. */
  readonly minutes?: number | undefined;
  /** Lets others use the device; awaited at least every 100 ms. */
  readonly letOthers?: Pause | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((value: EvaluateProgress) => void) | undefined;
}
