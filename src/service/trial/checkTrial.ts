import { RankscopeError } from '../../base/errors.ts';
import { TRIAL_DEFAULTS, TRIAL_LIMITS, TRIAL_METHODS, type TrialChoice, type TrialOptions } from '../../model/trial.ts';

/**
 * The options of a request with the defaults for those left out, ranks ascending and without repetition.
 * @throws RankscopeError 'wrong-use'
 */
export function checkTrial(path: string, request: TrialChoice): TrialOptions {
  const options = {
    ranks: [...new Set(request.ranks)].sort((one, other) => one - other),
    methods: TRIAL_METHODS.filter((method) => (request.methods ?? TRIAL_DEFAULTS.methods).includes(method)),
    oversampling: request.oversampling ?? TRIAL_DEFAULTS.oversampling,
    powerIterations: request.powerIterations ?? TRIAL_DEFAULTS.powerIterations,
    probes: request.probes ?? TRIAL_DEFAULTS.probes,
    seed: request.seed ?? TRIAL_DEFAULTS.seed,
  };
  const within = (value: number, [least, most]: readonly [number, number]) =>
    Number.isSafeInteger(value) && value >= least && value <= most;
  const { ranks, methods } = options;
  if (ranks.length === 0 || ranks.length > TRIAL_LIMITS.ranks || !ranks.every((rank) => within(rank, [1, 2 ** 31])))
    throw wrong(
      path,
      `the ranks are ${ranks.join(', ') || 'missing'}`,
      `Give 1 to ${TRIAL_LIMITS.ranks} ranks from 1 on`,
    );
  if (methods.length === 0) throw wrong(path, 'no known method is chosen', `Choose of ${TRIAL_METHODS.join(', ')}`);
  for (const name of ['oversampling', 'powerIterations', 'probes', 'seed'] as const) {
    const [least, most] = TRIAL_LIMITS[name];
    if (!within(options[name], [least, most]))
      throw wrong(path, `${name} is ${options[name]}`, `Give a whole number from ${least} to ${most}`);
  }
  return options;
}

const wrong = (path: string, found: string, remedy: string) => new RankscopeError('wrong-use', path, found, remedy);
