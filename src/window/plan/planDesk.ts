import { errorData, RankscopeError } from '../../base/errors.ts';
import { formatEstimate, formatWhole } from '../../base/quantities.ts';
import type { TextRequest } from '../../model/evaluation.ts';
import { planDifferences } from '../../model/plan/differences.ts';
import type { Plan, PlanRequest } from '../../model/plan/plan.ts';
import { FIRST_REQUEST, isMeasured, withoutIdleShare } from '../../model/plan/planRequest.ts';
import type { PlanSnapshot } from '../../protocol/page.ts';
import type { EvaluateProgress, PlanSources, Service } from '../../protocol/service.ts';
import { Emitter } from '../emitter.ts';
import type { Memory } from '../sessions/memory.ts';
import type { SessionStore } from '../sessions/sessionStore.ts';
import { changed, type Draft, keepDraft, readDraft, redone, undone } from './planDraft.ts';

/** How long a request must rest before it is planned: a dragged slider changes it many times a second. */
const SETTLE_MS = 80;

interface Computing {
  readonly abort: AbortController;
  readonly request: PlanRequest;
  readonly plan: Promise<Plan>;
}

/** What is remembered of a checkpoint's text. */
interface ChosenText {
  readonly text?: TextRequest;
  readonly minutes?: number;
}

export interface PlanDeskHost {
  readonly service: Pick<Service, 'plan'>;
  readonly store: SessionStore;
  readonly memory: Memory;
  readonly canWrite: () => boolean;
}

/** What the page of the plan shows, and the whole plan. */
export interface PlanState extends Omit<PlanSnapshot, 'plan'> {
  readonly plan: Plan | null;
}

/**
 * The plans being edited, one per checkpoint: their requests with undo, and the plan of the current checkpoint, which
 * is recomputed after each change. Ranks set in the inspector and from code are overrides of this request.
 */
export class PlanDesk {
  /** What changed in the snapshot. */
  readonly changes = new Emitter<Partial<PlanState>>();
  private readonly drafts = new Map<string, Draft>();
  private current: string | null = null;
  private plan: Plan | null = null;
  private error: PlanSnapshot['error'] = null;
  private busy: string | null = null;
  private computing: Computing | undefined;
  /** What was measured since this window opened, by `measureKey`: another budget takes no time. */
  private readonly measured = new Set<string>();
  /** Plans that were opened from files, with what was measured for them, by checkpoint. */
  private readonly opened = new Map<string, Plan>();

  constructor(private readonly host: PlanDeskHost) {
    host.store.changes.on(() => this.changes.fire({ checkpoints: this.checkpoints() }));
  }

  snapshot(): PlanState {
    this.current ??= this.checkpoints()[0]?.path ?? null;
    return {
      checkpoints: this.checkpoints(),
      current: this.current,
      request: this.request(),
      plan: this.plan,
      error: this.error,
      busy: this.busy,
      measure: this.measureState(),
      canUndo: this.draft().before.length > 0,
      canRedo: this.draft().after.length > 0,
      canWrite: this.host.canWrite(),
    };
  }

  /** Whether the plan of the request takes no longer than edits may: a measurement must be started by the user. */
  get isQuick(): boolean {
    return !isMeasured(this.request()) || this.measured.has(this.measureKey()) || this.openedFor() !== undefined;
  }

  /** The text for the spreads by activations and by loss. */
  chooseText(text: TextRequest): void {
    this.setText({ ...this.chosenText(), text });
  }

  limitMinutes(minutes: number | null): void {
    const { text } = this.chosenText() ?? {};
    this.setText({ ...(text ? { text } : {}), ...(minutes === null ? {} : { minutes }) });
  }

  /** Ends the plan that is being made; what it measured is lost. */
  cancel(): void {
    const { computing } = this;
    this.computing = undefined;
    computing?.abort.abort();
    this.report({ busy: null, error: null });
  }

  /** The current checkpoint. */
  get path(): string | null {
    return this.current;
  }

  /** Makes `path` the current checkpoint; its plan is computed when it is asked for. */
  selectCheckpoint(path: string): void {
    if (path === this.current) return;
    this.computing?.abort.abort();
    this.computing = undefined;
    this.current = path;
    this.plan = null;
    this.error = null;
    this.busy = null;
    this.changes.fire(this.snapshot());
  }

  /** Shared factors that the other settings do not allow are given up, not an error. */
  change(wanted: PlanRequest): void {
    const request = withoutIdleShare(wanted);
    if (JSON.stringify(this.request()) !== JSON.stringify(request)) this.keep(changed(this.draft(), request));
  }

  undo(): void {
    const draft = this.draft();
    const earlier = undone(draft);
    if (earlier !== draft) this.keep(earlier);
  }

  redo(): void {
    const draft = this.draft();
    const later = redone(draft);
    if (later !== draft) this.keep(later);
  }

  /**
   * Makes a checkpoint the current one, with the request of a plan, as a step that can be undone. What was measured for
   * the plan is not measured again.
   * @throws RankscopeError 'wrong-use' with the differences if the plan is of another checkpoint
   */
  async open(path: string, plan: Plan): Promise<void> {
    const session = this.host.store.get(path);
    const view = await session.open();
    if (!view) {
      const { code, subject, found, remedy } = session.snapshot().error!;
      throw new RankscopeError(code, subject, found, remedy);
    }
    const differences = planDifferences(plan, view);
    if (differences.length > 0)
      throw new RankscopeError('wrong-use', path, differences.join('; '), 'Open the plan of this checkpoint');
    this.selectCheckpoint(path);
    if (plan.sensitivities) this.opened.set(path, plan);
    this.change(plan.request);
  }

  /** Sets the rank of matrices of any checkpoint by hand, in one step; null keeps them dense. */
  setRank(path: string, names: readonly string[], rank: number | null): void {
    this.selectCheckpoint(path);
    const picks = Object.fromEntries(names.map((name) => [name, rank]));
    this.change({ ...this.request(), overrides: { ...this.request().overrides, ...picks } });
  }

  /** Leaves the rank of these matrices to the plan again, in one step. */
  clearRank(path: string, names: readonly string[]): void {
    this.selectCheckpoint(path);
    const overrides = Object.entries(this.request().overrides).filter(([name]) => !names.includes(name));
    this.change({ ...this.request(), overrides: Object.fromEntries(overrides) });
  }

  /**
   * The plan of the current request, computed unless it is known.
   * @throws RankscopeError 'wrong-use' if no checkpoint is open, and the errors of the engine.
   */
  compute(signal?: AbortSignal): Promise<Plan> {
    const path = this.current ?? this.snapshot().current;
    if (path === null) {
      return Promise.reject(
        new RankscopeError(
          'wrong-use',
          'rank plan',
          'no checkpoint is open',
          'Right-click a checkpoint file and choose Analyze Weight Ranks',
        ),
      );
    }
    if (this.plan) return Promise.resolve(this.plan);
    if (!this.computing) {
      const abort = new AbortController();
      this.computing = { abort, request: this.request(), plan: this.ask(path, abort.signal) };
    }
    const { abort, plan } = this.computing;
    signal?.addEventListener('abort', () => abort.abort(), { once: true });
    return plan;
  }

  private async ask(path: string, signal: AbortSignal): Promise<Plan> {
    const current = () => this.computing?.abort.signal === signal;
    this.report({ busy: 'Planning', error: null });
    try {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      for (;;) {
        const request = this.request();
        const key = this.measureKey();
        const plan = await this.host.service.plan(
          { path, request, ...(isMeasured(request) ? { sources: this.sources() } : {}) },
          { signal, progress: (step) => current() && this.report({ busy: busyText(step) }) },
        );
        if (isMeasured(request)) this.measured.add(key);
        // The request may have changed during a measurement, which serves other budgets as well.
        if (current() && request !== this.request()) continue;
        if (current()) this.report({ plan, busy: null });
        return plan;
      }
    } catch (error) {
      const reported = signal.aborted ? null : errorData(error, path);
      if (current()) this.report({ busy: null, error: reported });
      throw error;
    } finally {
      if (current()) this.computing = undefined;
    }
  }

  private keep(draft: Draft): void {
    if (this.current === null) return;
    this.drafts.set(this.current, draft);
    keepDraft(this.host.memory, this.current, draft);
    this.host.store.get(this.current).setRanks(ranksOf(draft.request));
    if (this.computing && !servesBoth(this.computing.request, draft.request)) {
      this.computing.abort.abort();
      this.computing = undefined;
      this.busy = null;
    }
    // Pages keep showing the old plan until the new one is there, but it can no longer be applied.
    this.plan = null;
    this.error = null;
    this.changes.fire({
      request: draft.request,
      canUndo: draft.before.length > 0,
      canRedo: draft.after.length > 0,
      error: null,
      busy: this.busy,
      measure: this.measureState(),
    });
  }

  private measureState(): PlanSnapshot['measure'] {
    const { text, minutes } = this.chosenText() ?? {};
    return {
      text: text?.text ?? text?.ids ?? null,
      statistics: this.statistics(),
      minutes: minutes ?? null,
      waits: !this.isQuick && this.busy === null,
    };
  }

  /** @throws RankscopeError 'wrong-use' where there is nothing to measure on */
  private sources(): PlanSources {
    const { text, minutes } = this.chosenText() ?? {};
    const activations = this.statistics();
    const isLoss = this.request().spread === 'loss';
    const from = this.openedFor();
    if (from) return { from };
    if (!text && (isLoss || activations === null))
      throw new RankscopeError('wrong-use', 'rank plan', 'no text is chosen', 'Choose a text below the spread');
    return {
      // Statistics spare the pass that would collect them.
      ...(activations === null ? {} : { activations }),
      ...(text ? { text } : {}),
      ...(minutes === undefined ? {} : { minutes }),
    };
  }

  /** The opened plan that has what was measured for the current request, and for as many matrices. */
  private openedFor(): Plan | undefined {
    const from = this.current === null ? undefined : this.opened.get(this.current);
    if (!from || this.chosenText()?.text) return undefined;
    const { spread, include, exclude } = this.request();
    const isOfSame =
      JSON.stringify([from.request.include, from.request.exclude]) === JSON.stringify([include, exclude]);
    return isOfSame && (spread !== 'loss' || from.sensitivities?.divergences) ? from : undefined;
  }

  private measureKey(): string {
    const { spread, include, exclude, share } = this.request();
    return JSON.stringify([this.current, spread, include, exclude, share, this.chosenText(), this.statistics()]);
  }

  private statistics(): string | null {
    return this.current === null ? null : this.host.store.get(this.current).statisticsPath;
  }

  private chosenText(): ChosenText | undefined {
    return this.current === null ? undefined : this.host.memory.get<ChosenText>(textKey(this.current));
  }

  private setText(chosen: ChosenText): void {
    if (this.current === null) return;
    void this.host.memory.update(textKey(this.current), chosen);
    if (isMeasured(this.request())) {
      this.computing?.abort.abort();
      this.computing = undefined;
      this.plan = null;
      this.busy = null;
      this.error = null;
    }
    const { busy, error } = this;
    this.changes.fire({ plan: this.plan, busy, error, measure: this.measureState() });
  }

  private draft(): Draft {
    if (this.current === null) return { request: FIRST_REQUEST, before: [], after: [] };
    let draft = this.drafts.get(this.current);
    if (!draft) {
      draft = readDraft(this.host.memory, this.current);
      this.drafts.set(this.current, draft);
      const ranks = ranksOf(draft.request);
      if (Object.keys(ranks).length > 0) this.host.store.get(this.current).setRanks(ranks);
    }
    return draft;
  }

  private request(): PlanRequest {
    return this.draft().request;
  }

  private checkpoints(): PlanSnapshot['checkpoints'] {
    return this.host.store.known().map(({ path }) => ({ path, name: path.split(/[\\/]/).slice(-2).join('/') }));
  }

  private report(update: Pick<Partial<PlanState>, 'busy' | 'error'> & { plan?: Plan }): void {
    if (update.plan) this.plan = update.plan;
    if (update.busy !== undefined) this.busy = update.busy;
    if (update.error !== undefined) this.error = update.error;
    this.changes.fire({ ...update, measure: this.measureState() });
  }
}

const textKey = (path: string): string => `plan:text:${path}`;

/** Whether a measurement for one request is what the other needs as well. */
function servesBoth(one: PlanRequest, other: PlanRequest): boolean {
  const needs = ({ spread, include, exclude }: PlanRequest) => JSON.stringify([spread, include, exclude]);
  return isMeasured(one) && isMeasured(other) && needs(one) === needs(other);
}

/** `KL of block 3, 12 of 210, about 4 min left` */
function busyText({ message, done, total, secondsLeft }: EvaluateProgress): string {
  const count = total > 0 && secondsLeft !== undefined ? `, ${formatWhole(done)} of ${formatWhole(total)}` : '';
  return message + count + (secondsLeft === undefined ? '' : `, ${formatEstimate(secondsLeft)} left`);
}

/** The ranks set by hand, for the inspector; matrices kept dense have none. */
function ranksOf({ overrides }: PlanRequest): Record<string, number> {
  return Object.fromEntries(Object.entries(overrides).filter((entry): entry is [string, number] => entry[1] !== null));
}
