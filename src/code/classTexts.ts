import type { ClassLine, LayerHint } from './codeCalls.ts';
import type { ClassInsight } from './insight.ts';
import { rangeOf } from './rankSummary.ts';

/** What stands above a class that lies in an analyzed checkpoint. */
export function classLine({ of, checkpoint, groups, places }: ClassInsight): ClassLine {
  const findings = groups.flatMap((group) => group.findings);
  const share =
    findings.reduce((sum, { effectiveRank, shape }) => sum + effectiveRank / Math.min(...shape), 0) / findings.length;
  const where = places === 1 ? '' : ` in ${places} places`;
  const count = findings.length === 1 ? '1 matrix' : `${findings.length} matrices`;
  return {
    span: of.span,
    title: `Rankscope: ${count}${where}, effective rank ${Math.round(100 * share)} % on average`,
    path: checkpoint.path,
    ...(findings[0] ? { name: findings[0].name } : {}),
  };
}

/** What stands behind a layer: the median effective rank and the largest there could be. */
export function layerHint({ span, group: { pattern, findings, matrices } }: ClassInsight['fields'][number]): LayerHint {
  const median = rangeOf(findings.map(({ effectiveRank }) => effectiveRank))?.median ?? 0;
  const full = Math.max(...matrices.map(({ shape }) => Math.min(...shape)));
  return {
    span,
    label: ` rank ${median.toFixed(1)}/${full}`,
    tooltip: `Median effective rank of ${pattern} and the largest it could be`,
  };
}
