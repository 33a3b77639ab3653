import { factorParameters } from '../../base/shape.ts';
import type { Options } from './planOptions.ts';

/** The rank of an m x n matrix at a compression ratio: max(1, floor(ratio min(m, n))). */
export function tutorialRank([m, n]: readonly [number, number], ratio: number): number {
  return Math.max(1, Math.floor(ratio * Math.min(m, n)));
}

/** What a compression ratio comes to in parameters, which its name hides; undefined where nothing may be cut. */
export function tutorialNote(all: readonly Options[], ratio: number, keptShare: number): string | undefined {
  const free = all.filter(({ only }) => !only);
  const dense = free.reduce((sum, options) => sum + options.dense, 0);
  if (dense === 0) return undefined;
  let [factors, larger] = [0, 0];
  for (const { input, dense: own } of free) {
    const [m, n] = input.shape;
    const size = factorParameters(m, n, tutorialRank(input.shape, ratio));
    factors += size;
    if (size >= own) larger++;
  }
  const said = `A compression ratio of ${ratio}, as tutorials count it (compress_model_svd), is the rank ${ratio} min(m, n): written for every matrix, the factors have ${percent(factors / dense)} of the parameters`;
  return larger === 0
    ? `${said}. --keep counts parameters.`
    : `${said}, and those of ${larger} of ${free.length} matrices save nothing. These stay dense here, so that ${percent(keptShare)} of the parameters are kept. --keep counts parameters.`;
}

const percent = (share: number) => `${(100 * share).toPrecision(3)} %`;
