import { formatBytes } from '../../base/quantities.ts';
import type {
  CompressedBlock,
  CompressionMethod,
  CompressionReport,
  CompressRequest,
} from '../../model/compression.ts';
import { moduleOfWeight } from '../../model/names/moduleOfWeight.ts';
import type { FactorizedReport, Plan } from '../../model/plan/plan.ts';
import { type Opened, viewOf } from '../checkpoints/opened.ts';
import type { CompressedBlocks } from './compressBlocks.ts';
import { tooSmall } from './planRequest.ts';
import type { ResultFiles } from './resultFiles.ts';
import type { PreparedText } from './textForCompression.ts';

/** How a plan and its blocks came about. */
export function methodOf(
  { request, sensitivities }: Plan,
  { ridge, steps, rate, seed }: { ridge: number; steps: number; rate: number; seed: number },
): CompressionMethod {
  return {
    spread: request.spread === 'loss' ? 'loss' : 'activations',
    measured: sensitivities?.divergences?.measured ?? 0,
    filledIn: sensitivities?.divergences?.filledIn ?? 0,
    measureTokens: sensitivities?.divergences?.tokens ?? 0,
    ridge,
    refinement: steps > 0 ? { steps, rate } : null,
    seed,
  };
}

interface Compression
  extends Pick<
    CompressionReport,
    'method' | 'calibration' | 'unseen' | 'smokeTest' | 'estimate' | 'engine' | 'seconds'
  > {
  readonly opened: Opened;
  readonly request: CompressRequest;
  readonly files: ResultFiles;
  readonly text: PreparedText;
  readonly plan: Plan;
  readonly written: FactorizedReport;
  readonly compressed: CompressedBlocks;
  /** What to know of the written model. */
  readonly notes: readonly string[];
}

/** The report of a compression that is written and measured. */
export function reportOf(of: Compression): CompressionReport {
  const { opened, request, files, text, plan, written, compressed, estimate } = of;
  const { path, format, parameters, bytes } = viewOf(opened);
  const { parametersBefore, parametersAfter, bytesBefore, bytesAfter } = written;
  return {
    format: 'rankscope.compression/1',
    checkpoint: { path, format, parameters, bytes },
    out: files.out,
    planFile: files.plan,
    code: files.code,
    text: text.text,
    method: of.method,
    size: { keep: request.keep, totals: plan.totals, parametersBefore, parametersAfter, bytesBefore, bytesAfter },
    calibration: of.calibration,
    unseen: of.unseen,
    blocks: compressed.blocks,
    matrices: written.matrices.map((matrix) => ({
      ...matrix,
      inputError: compressed.inputErrors.get(moduleOfWeight(matrix.name)) ?? null,
    })),
    smokeTest: of.smokeTest,
    estimate,
    resumedBlocks: compressed.resumed,
    engine: of.engine,
    seconds: of.seconds,
    notes: [
      ...text.notes,
      ...estimate.notes,
      ...sizeUnmet(plan, request.keep).filter((note) => !estimate.notes.includes(note)),
      ...(plan.notes ?? []),
      ...of.notes,
      ...rankNotes(plan, text.text.calibration.tokens),
      ...fallbackNotes(compressed.blocks),
      ...sizeNotes(written),
    ],
  };
}

/** Matrices that no token reached stay dense, so that the least share may be larger than the floors alone allow. */
function sizeUnmet({ unmet, totals }: Plan, keep: number): string[] {
  return unmet === undefined ? [] : [tooSmall(totals.keptShare, keep)];
}

/** Inputs of fewer tokens than a rank leave a part of the rank to the weights alone. */
function rankNotes({ matrices }: Plan, tokens: number): string[] {
  const beyond = matrices.filter(({ rank }) => rank !== null && rank > tokens).length;
  if (beyond === 0) return [];
  return [
    `The calibration text is too short for the ranks of ${beyond} matrices: it has ${tokens} tokens, which say nothing of the ranks beyond.`,
  ];
}

/** One sentence for the blocks that were not refined, although it was asked for. */
function fallbackNotes(blocks: readonly CompressedBlock[]): string[] {
  const reasons = new Map<string, number[]>();
  for (const { layer, refined, reason, cut } of blocks) {
    if (refined || reason === null || cut === 0) continue;
    reasons.set(reason, [...(reasons.get(reason) ?? []), layer + 1]);
  }
  return [...reasons].map(([reason, layers]) => {
    const which = layers.length === 1 ? `Block ${layers[0]} stays` : `Blocks ${layers.join(', ')} stay`;
    return `${which} as truncated: ${reason}.`;
  });
}

/** Factors and what is carried are written in at least 16 bits, whatever the source has. */
function sizeNotes({ bytesBefore, bytesAfter }: FactorizedReport): string[] {
  if (bytesAfter <= bytesBefore) return [];
  return [
    `The file is larger than its quantized source (${formatBytes(bytesAfter)} instead of ${formatBytes(bytesBefore)}), because weights are written in 16 or 32 bits: it is smaller where it is quantized again.`,
  ];
}
