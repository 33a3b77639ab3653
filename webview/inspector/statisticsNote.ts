import { formatWhole } from '../../src/base/quantities.ts';
import type { MatrixFinding } from '../../src/model/findings.ts';
import type { StatisticsInUse } from '../../src/protocol/page.ts';
import { element, fill } from '../ui/dom.ts';
import { isShort, summaryText } from './statisticsText.ts';

/** Names listed at most; the table of the heatmap has the rest. */
const NAMED = 5;

/** The statistics of activations in use, and a warning where fewer tokens than columns were seen. */
export function createStatisticsNote(root: HTMLElement): {
  show(statistics: StatisticsInUse | null, findings: ReadonlyMap<string, MatrixFinding>): void;
} {
  let drawn: readonly unknown[] = [];
  return {
    show(statistics, findings) {
      const key = [statistics, statistics && findings.size];
      if (key.every((part, index) => part === drawn[index]) && drawn.length > 0) return;
      drawn = key;
      root.hidden = statistics === null;
      if (!statistics) return;
      const short = [...findings.values()].filter(
        ({ activations, shape }) => activations && isShort(activations, shape[1]),
      );
      const named = element('span', { text: summaryText(statistics), attributes: { title: statistics.path } });
      fill(
        root,
        element('p', {}, element('span', { class: 'faint', text: 'Activations ' }), named),
        short.length > 0 ? element('p', { class: 'notice', text: shortText(short) }) : null,
        ...statistics.remarks.map((text) => element('p', { class: 'notice', text })),
      );
    },
  };
}

/** Which matrices saw too few tokens, and what to do. */
function shortText(short: readonly MatrixFinding[]): string {
  const names = short.slice(0, NAMED).map(({ name }) => name);
  const more = short.length > names.length ? ` and ${formatWhole(short.length - names.length)} more` : '';
  const subject = short.length === 1 ? 'One matrix has' : `${formatWhole(short.length)} matrices have`;
  return `${subject} seen fewer tokens than columns: ranks of W X may be too low there (${names.join(', ')}${more}). Collect activations on more text.`;
}
