import { baseName } from '../../base/paths.ts';
import { formatCount } from '../../base/quantities.ts';
import { smokeTestSentence } from '../../model/generationText.ts';
import type { ApplyReport } from '../../protocol/service.ts';

/** What became of a plan, with the most important sentence of the smoke test: `Wrote a.safetensors: 192K ...` */
export function resultText({
  out,
  parametersBefore,
  parametersAfter,
  smokeTest,
  calibration,
  remarks = [],
}: ApplyReport): string {
  const share = ((100 * parametersAfter) / parametersBefore).toFixed(1);
  const size = `Wrote ${baseName(out)}: ${formatCount(parametersAfter)} parameters, ${share} % of the original.`;
  // Why nothing was tried is left to the inspector.
  const tried = smokeTest && !('leftOut' in smokeTest) ? smokeTestSentence(smokeTest) : undefined;
  return [size, ...(tried === undefined ? [] : [tried]), ...(calibration?.notes ?? []), ...remarks].join(' ');
}
