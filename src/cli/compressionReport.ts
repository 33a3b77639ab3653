import { formatBytes, formatCount } from '../base/quantities.ts';
import type { CompressionReport } from '../model/compression.ts';
import { smokeTestSentence } from '../model/generationText.ts';
import { blockTable, measuredTable } from './compressionTables.ts';
import { generationReport } from './generationReport.ts';
import { percent, table } from './table.ts';
import { windowsInWords } from './textOptions.ts';

/** A compression as a person reads it. */
export function* compressionReport(report: CompressionReport): Generator<string> {
  const { text, method, size, calibration, unseen, smokeTest } = report;
  const [blocks, measured] = [blockTable(report), measuredTable(report)];
  yield* table(blocks.headings, blocks.rows);
  yield '\nW X: what the matrices make of their inputs, as the plan predicted it and as truncated on the inputs of the compressed model.\n\n';
  yield* table(measured.headings, measured.rows);
  const { totals } = size;
  yield `\nPerplexity before and after, on ${calibration.text} and on ${unseen?.text ?? 'nothing else: the text is too short'}.\n`;
  yield `${percent(totals.keptShare)} of the parameters that may be cut are kept (${formatCount(totals.parametersBefore)} became ${formatCount(totals.parametersAfter)}), ${percent(size.parametersAfter / size.parametersBefore)} of the whole model (${formatCount(size.parametersBefore)} became ${formatCount(size.parametersAfter)}).\n`;
  yield `${formatBytes(size.bytesBefore)} became ${formatBytes(size.bytesAfter)}.\n`;
  const source = text.name ?? `a text that the model wrote itself (seed ${method.seed})`;
  yield `Calibration: ${formatCount(text.calibration.tokens)} tokens of ${source} in ${windowsInWords({ windows: text.calibration.windows, context: text.context })}; ${text.heldOut.windows === 1 ? '1 window was' : `${text.heldOut.windows} windows were`} held out.\n`;
  yield `${methodSentence(report)}\n`;
  yield `${report.engine.device}, ${report.seconds.toFixed(0)} s${report.resumedBlocks > 0 ? `; ${report.resumedBlocks === 1 ? '1 block' : `${report.resumedBlocks} blocks`} came from an earlier run` : ''}\n`;
  for (const note of report.notes) yield `${note}\n`;
  yield `Written to ${report.out}, with its plan ${report.planFile}${report.code === null ? '' : ` and ${report.code}`}\n`;
  if (!smokeTest) return;
  if (!('generation' in smokeTest)) {
    yield `${smokeTestSentence(smokeTest)}\n`;
    return;
  }
  yield '\nThe written file, read again, beside the model:\n\n';
  yield* generationReport(smokeTest.generation);
}

function methodSentence({ method }: CompressionReport): string {
  const { spread, measured, filledIn, measureTokens, ridge, refinement } = method;
  const ranks =
    spread === 'loss'
      ? `Ranks by loss (measured for ${measured} matrices on ${formatCount(measureTokens)} tokens${filledIn > 0 ? `, filled in for ${filledIn}` : ''})`
      : 'Ranks by the energy of what each matrix makes of its inputs';
  const refined = refinement
    ? `each block refined by ${refinement.steps} steps of Adam at ${refinement.rate}`
    : 'without refinement';
  return `${ranks}; truncated on the inputs of the compressed model, ridge ${ridge}; ${refined}.`;
}
