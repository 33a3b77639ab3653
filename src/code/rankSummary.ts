import { groupBy } from '../base/groupBy.ts';
import type { MatrixView } from '../protocol/service.ts';
import type { FindingInCode } from './codeCalls.ts';

/** The matrices of one module in all layers. */
export interface ModuleRanks {
  /** `model.layers.*.self_attn.q_proj`, or the full name of a single matrix. */
  readonly pattern: string;
  readonly matrices: readonly MatrixView[];
  /** The findings known so far, in the order of `matrices`. */
  readonly findings: readonly FindingInCode[];
}

/** Median, minimum and maximum. */
export interface Summary {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** Groups matrices by module across layers, in the order of the checkpoint. */
export function moduleRanks(
  matrices: readonly MatrixView[],
  finding: (name: string) => FindingInCode | undefined,
): ModuleRanks[] {
  return [...groupBy(matrices, patternOf).values()].map((group) => ({
    pattern: moduleName(group.length === 1 ? group[0]!.name : patternOf(group[0]!)),
    matrices: group,
    findings: group.map(({ name }) => finding(name)).filter((found) => found !== undefined),
  }));
}

/** undefined without values. */
export function summarize(values: readonly number[]): Summary | undefined {
  if (values.length === 0) return undefined;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = (sorted[Math.floor(middle - 0.5)]! + sorted[Math.floor(middle)]!) / 2;
  return { median, low: sorted[0]!, high: sorted.at(-1)! };
}

/** The name with `*` for the layer's index; experts and positions in a Sequential stay apart. */
function patternOf({ name, layer, module }: MatrixView): string {
  if (layer === null) return name;
  const parts = name.split('.');
  const places = [...parts.keys()].filter((k) => parts[k] === String(layer));
  // A stage may have the same number as a block in it.
  const at =
    places.find((k) =>
      parts
        .slice(k + 1)
        .join('.')
        .startsWith(module),
    ) ?? places[0];
  if (at === undefined) return name;
  parts[at] = '*';
  return parts.join('.');
}

const moduleName = (tensor: string): string => tensor.replace(/\.weight$/, '');
