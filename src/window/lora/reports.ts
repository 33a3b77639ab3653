import { basename } from 'node:path';
import { formatBytes, formatCount, significant } from '../../base/quantities.ts';
import type { Extraction } from '../../model/lora/extraction.ts';
import type { Initialization } from '../../model/lora/initialization.ts';
import type { LoraWritten } from '../../model/lora/written.ts';

/** What a command did: a sentence, and a document with every layer. */
export interface LoraReport {
  readonly sentence: string;
  /** Markdown. */
  readonly document: string;
}

const percent = (share: number) => `${significant(100 * share)} %`;

export function writtenReport(written: LoraWritten, source: string): LoraReport {
  const { layers, parametersBefore, parametersAfter, bytes, out, remarks } = written;
  const changed = parametersBefore === parametersAfter ? '' : `${formatCount(parametersBefore)} parameters became `;
  const cleaned = layers.some(({ intruders }) => intruders !== undefined);
  const rows = layers.map(({ name, rankBefore, rank, error, intruders }) => [
    name,
    String(rankBefore),
    String(rank),
    cleaned ? intrudersText(intruders) : error === null ? '–' : percent(error),
  ]);
  return report(
    `${changed}${formatCount(parametersAfter)}${changed === '' ? ' parameters' : ''}, ${formatBytes(bytes)}`,
    remarks,
    basename(out ?? source),
    [
      `From \`${source}\`${out === null ? '' : `, written to \`${out}\``}.`,
      table(['layer', 'rank before', 'rank', cleaned ? 'intruders (cosine)' : 'error'], rows),
    ],
  );
}

export function extractionReport({ matrices, others, totals, unchanged, ...rest }: Extraction): LoraReport {
  const { base, tuned, out, remarks } = rest;
  const { parameters, bytes, predictedError, measuredError } = totals;
  return report(
    `${formatCount(parameters)} parameters for ${matrices.length} matrices, ${formatBytes(bytes ?? 0)}; ${percent(measuredError ?? predictedError)} of the difference is left`,
    remarks,
    basename(out ?? tuned),
    [
      `What \`${tuned}\` has changed in \`${base}\`. ${unchanged} matrices are equal in both. Predicted error: ${percent(predictedError)}, measured: ${measuredError === null ? '–' : percent(measuredError)}.`,
      table(
        ['matrix', 'change', 'share', 'rank', 'above rounding', 'predicted error', 'measured error'],
        matrices.map((matrix) => [
          matrix.name,
          matrix.change === null ? '–' : percent(matrix.change),
          percent(matrix.share),
          String(matrix.rank),
          matrix.aboveRounding === null ? '–' : String(matrix.aboveRounding),
          percent(matrix.predictedError),
          matrix.measuredError === null ? '–' : percent(matrix.measuredError),
        ]),
      ),
      ...(others.length === 0
        ? []
        : [
            'Not held by LoRA:',
            table(
              ['tensor', 'kind', 'change', 'share', 'module'],
              others.map(({ name, kind, change, share, module, reason }) => [
                name,
                kind,
                change === null ? '–' : percent(change),
                percent(share),
                module ?? `– (${reason})`,
              ]),
            ),
          ]),
    ],
  );
}

export function initializationReport(made: Initialization): LoraReport {
  const { path, adapter, base, matrices, parameters, bytes, remarks } = made;
  return report(
    `${formatCount(parameters)} parameters for ${matrices.length} matrices, ${formatBytes(bytes)}; the adapter belongs to ${basename(base)} beside it`,
    remarks,
    basename(path),
    [
      `From \`${path}\`: the adapter is in \`${adapter}\`, the base without it in \`${base}\`.`,
      table(
        ['matrix', 'shape', 'rank', 'in the adapter', 'components of'],
        matrices.map(({ name, shape, rank, energy, onInputs }) => [
          name,
          shape.join(' x '),
          String(rank),
          percent(energy),
          onInputs ? 'W X' : 'W',
        ]),
      ),
    ],
  );
}

/** `3.2 (0.11), 2.9 (0.34)`: the singular value of each intruder and its largest cosine with the base. */
export function intrudersText(intruders: LoraWritten['layers'][number]['intruders'] = []): string {
  return (
    intruders.map(({ singularValue, cosine }) => `${significant(singularValue)} (${cosine.toFixed(2)})`).join(', ') ||
    '–'
  );
}

function report(sentence: string, remarks: readonly string[], name: string, parts: readonly string[]): LoraReport {
  return {
    sentence: [`${name}: ${sentence}.`, ...remarks].join(' '),
    document: [`# ${name}`, `${sentence}.`, ...remarks, ...parts].join('\n\n').concat('\n'),
  };
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll(/[\r\n]/g, ' ')).join(' | ')} |`;
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n');
}
