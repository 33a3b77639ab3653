import { type ErrorData, errorData } from '../../../src/base/errors.ts';
import type { Trial, TrialChoice } from '../../../src/model/trial.ts';

export type TrialState =
  | { readonly kind: 'running'; readonly step: string }
  | { readonly kind: 'failed'; readonly error: ErrorData }
  | { readonly kind: 'ready'; readonly trial: Trial };

/** Trials kept on the page; the engine keeps their factors, so that another look at an older one is quick. */
const KEPT = 16;

export interface Trials {
  of(name: string): TrialState | null;
  start(name: string, choice: TrialChoice): void;
  /** What the running trial does at the moment. */
  told(step: string): void;
  forget(): void;
}

/** The last trial of each matrix; `changed` is called with the name of one whose state changed. */
export function createTrials(
  ask: (name: string, choice: TrialChoice) => Promise<Trial>,
  changed: (name: string) => void,
): Trials {
  const states = new Map<string, TrialState>();
  let era = 0;
  const set = (name: string, state: TrialState | null) => {
    states.delete(name);
    if (state) states.set(name, state);
    if (states.size > KEPT) states.delete(states.keys().next().value!);
    changed(name);
  };
  return {
    of: (name) => states.get(name) ?? null,
    start(name, choice) {
      const before = states.get(name);
      const running: TrialState = { kind: 'running', step: '' };
      const asked = era;
      set(name, running);
      const isCurrent = () => asked === era && states.get(name)?.kind === 'running';
      ask(name, choice).then(
        (trial) => isCurrent() && set(name, { kind: 'ready', trial }),
        (error: unknown) => {
          if (!isCurrent()) return;
          const data = errorData(error, name);
          const cancelled = data.code === 'cancelled';
          set(name, cancelled ? (before?.kind === 'ready' ? before : null) : { kind: 'failed', error: data });
        },
      );
    },
    told(step) {
      for (const [name, state] of [...states]) if (state.kind === 'running') set(name, { kind: 'running', step });
    },
    forget() {
      era++;
      states.clear();
    },
  };
}
