import { formatBytes, formatWhole } from '../../src/base/quantities.ts';
import type { AlikePair, EqualTensors, SharingReport } from '../../src/model/sharing/sharing.ts';
import { element, fill } from '../ui/dom.ts';
import { formatPercent, formatShape, formatValue } from '../ui/format.ts';
import { firstPlace, showTable } from '../ui/table.ts';

interface EqualHooks {
  /** Shows a matrix in the inspector. */
  readonly reveal: (name: string) => void;
}

/** Equal tensors with what tying saves, and nearly equal ones. */
export function createEqual(root: HTMLElement, { reveal }: EqualHooks): { show(report: SharingReport): void } {
  const sentence = element('p');
  const equalTable = element('div', { class: 'table-root' });
  const alikeHead = element('h3', { text: 'Nearly equal, up to a factor' });
  const alikeTable = element('div', { class: 'table-root' });
  const places = [firstPlace(), firstPlace()] as const;
  fill(root, element('h2', { text: 'Equal tensors' }), sentence, equalTable, alikeHead, alikeTable);
  return {
    show(report) {
      sentence.textContent = inWords(report);
      equalTable.hidden = report.equal.length === 0;
      alikeHead.hidden = report.alike.length === 0;
      alikeTable.hidden = report.alike.length === 0;
      if (report.equal.length > 0)
        showTable<EqualTensors>(
          equalTable,
          {
            caption: 'Equal tensors',
            rows: report.equal,
            onSelect: ({ names }) => reveal(names[0]!),
            columns: [
              { head: 'Tensor', text: ({ names }) => names[0]! },
              { head: 'Equal to', text: ({ names }) => names.slice(1).join(', ') },
              { head: 'Shape', text: ({ shape }) => formatShape(shape) },
              {
                head: 'Tying saves',
                numeric: true,
                text: ({ copies, savedParameters, savedBytes }) =>
                  copies === 1 ? 'tied already' : `${formatWhole(savedParameters)} (${formatBytes(savedBytes)})`,
                order: ({ savedParameters }) => savedParameters,
              },
            ],
          },
          places[0],
        );
      if (report.alike.length > 0)
        showTable<AlikePair>(
          alikeTable,
          {
            caption: 'Nearly equal matrices',
            rows: report.alike,
            onSelect: ({ first }) => reveal(first),
            columns: [
              { head: 'Matrix', text: ({ first }) => first },
              { head: 'Compared with', text: ({ second }) => second },
              { head: 'Cosine', numeric: true, text: ({ cosine }) => cosine.toFixed(4), order: ({ cosine }) => cosine },
              {
                head: 'Factor',
                numeric: true,
                text: ({ factor }) => formatValue(factor),
                order: ({ factor }) => factor,
              },
              {
                head: 'Difference',
                numeric: true,
                text: ({ difference }) => formatPercent(difference),
                order: ({ difference }) => difference,
              },
            ],
          },
          places[1],
        );
    },
  };
}

function inWords({ equal, tiedByConfiguration: tied }: SharingReport): string {
  const saved = equal.reduce((sum, { savedParameters }) => sum + savedParameters, 0);
  const bytes = equal.reduce((sum, { savedBytes }) => sum + savedBytes, 0);
  const sentences = [
    saved > 0
      ? `The file holds equal tensors several times: tying them saves ${formatWhole(saved)} parameters (${formatBytes(bytes)}).`
      : equal.length > 0
        ? 'All equal tensors are tied already.'
        : 'No two tensors are equal.',
    ...(tied
      ? [
          `The head is the embedding (${formatShape(tied.shape)}), as the configuration says: ${formatWhole(tied.parameters)} parameters are saved.`,
        ]
      : []),
  ];
  return sentences.join(' ');
}
