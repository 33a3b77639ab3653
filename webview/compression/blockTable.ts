import type { CompressedBlock } from '../../src/model/compression.ts';
import { formatDuration, formatPercent, NONE } from '../ui/format.ts';
import { type Column, showTable, type TablePlace } from '../ui/table.ts';
import { change, formatLoss } from './lossCurves.ts';

/** Every finished block as a row: the numbers of the curves above. */
export function showBlocks(root: HTMLElement, blocks: readonly CompressedBlock[], place: TablePlace): void {
  const number = (
    head: string,
    value: (block: CompressedBlock) => number | null,
    text: (value: number) => string = String,
  ): Column<CompressedBlock> => ({
    head,
    numeric: true,
    order: value,
    text: (block) => {
      const own = value(block);
      return own === null ? NONE : text(own);
    },
  });
  showTable<CompressedBlock>(
    root,
    {
      caption: 'Blocks',
      rows: blocks,
      columns: [
        { head: 'Block', text: ({ layer }) => String(layer + 1), order: ({ layer }) => layer },
        number('Matrices cut', ({ cut }) => cut),
        number('Left dense', ({ dense }) => dense),
        number('W X predicted', ({ inputErrors }) => inputErrors?.predicted ?? null, formatPercent),
        number('W X truncated', ({ inputErrors }) => inputErrors?.measured ?? null, formatPercent),
        number('Error truncated', ({ before }) => before, formatLoss),
        number('Error refined', ({ after, refined }) => (refined ? after : null), formatLoss),
        {
          head: 'Refinement',
          text: ({ before, after, refined, reason }) =>
            refined && before !== null && after !== null ? change(before, after) : (reason ?? NONE),
        },
        number('Time', ({ seconds }) => seconds, formatDuration),
      ],
    },
    place,
  );
}
