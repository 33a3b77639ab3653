import { formatBytes, formatCount, formatWhole, significant } from '../../src/base/quantities.ts';
import type { BeforeAndAfter, CompressionReport } from '../../src/model/compression.ts';
import { formatDifference, formatPerplexity } from '../evaluation/words.ts';
import { element, fill } from '../ui/dom.ts';
import { formatDuration, formatPercent, NONE } from '../ui/format.ts';
import { type Column, firstPlace, showTable } from '../ui/table.ts';

/** What the compression cost: on windows that it read, and on others, which count. */
export function showBeforeAfter(root: HTMLElement, report: CompressionReport): void {
  const { calibration, unseen, size } = report;
  const counted = unseen ?? calibration;
  const table = element('div', { class: 'table-root' });
  const rows = [...(unseen ? [{ what: 'Unseen', own: unseen }] : []), { what: 'Calibration', own: calibration }];
  showTable<(typeof rows)[number]>(
    table,
    {
      caption: 'Before and after',
      rows,
      columns: [
        { head: 'Windows', text: ({ what, own }) => `${what}: ${own.text}` },
        number('Tokens', ({ scored }) => scored, formatWhole),
        number('Perplexity before', ({ dense }) => dense.perplexity, formatPerplexity),
        number('after', ({ compressed }) => compressed.perplexity, formatPerplexity),
        number('Loss difference', ({ compressed: { difference, differenceError } }) =>
          formatDifference(difference, differenceError),
        ),
        number('KL mean', ({ compressed }) => compressed.divergence.mean, significant),
        number('KL 99 %', ({ compressed }) => compressed.divergence.q99, significant),
        number('Same top token', ({ compressed }) => compressed.sameTop, formatPercent),
      ],
    },
    firstPlace(),
  );
  fill(
    root,
    element('h2', { text: 'Before and after' }),
    element(
      'div',
      { class: 'headline' },
      figure(
        unseen ? 'Perplexity on unseen text' : 'Perplexity',
        `${formatPerplexity(counted.dense.perplexity)} → ${formatPerplexity(counted.compressed.perplexity)}`,
      ),
      figure('Kept of what may be cut', formatPercent(size.totals.keptShare)),
      figure('Kept of the model', formatPercent(size.parametersAfter / size.parametersBefore)),
      figure('File', `${formatBytes(size.bytesBefore)} → ${formatBytes(size.bytesAfter)}`),
    ),
    table,
    facts(report),
  );
}

function figure(term: string, value: string): HTMLElement {
  return element(
    'div',
    { class: 'figure' },
    element('span', { class: 'faint', text: term }),
    element('strong', { text: value }),
  );
}

function number<Value>(
  head: string,
  value: (own: BeforeAndAfter) => Value,
  text: (value: Value) => string = String,
): Column<{ readonly what: string; readonly own: BeforeAndAfter }> {
  return { head, numeric: true, text: ({ own }) => text(value(own)) };
}

function facts({ text, method, size, engine, seconds, resumedBlocks }: CompressionReport): HTMLElement {
  const list = element('dl', { class: 'facts' });
  const add = (term: string, value: string) =>
    list.append(element('div', {}, element('dt', { text: term }), element('dd', { text: value })));
  add('Text', text.name ?? `written by the model itself (seed ${method.seed})`);
  add(
    'Calibration',
    `${formatWhole(text.calibration.tokens)} tokens in ${text.calibration.windows} windows of ${text.context}`,
  );
  add('Held out', `${text.heldOut.windows} windows`);
  add('Ranks', method.spread === 'loss' ? lossText(method) : 'by the energy on the inputs');
  add('Truncation', `on the inputs of the compressed model, ridge ${method.ridge}`);
  add(
    'Refinement',
    method.refinement ? `${method.refinement.steps} steps of Adam at ${method.refinement.rate} a block` : NONE,
  );
  add('Parameters', `${formatCount(size.parametersBefore)} → ${formatCount(size.parametersAfter)}`);
  add('Device', `${engine.device || engine.name}, ${formatDuration(seconds)}`);
  if (resumedBlocks > 0) add('From an earlier run', `${resumedBlocks} blocks`);
  return list;
}

function lossText({ measured, filledIn, measureTokens }: CompressionReport['method']): string {
  const rest = filledIn > 0 ? `, filled in for ${formatWhole(filledIn)}` : '';
  return `by loss, measured for ${formatWhole(measured)} matrices on ${formatWhole(measureTokens)} tokens${rest}`;
}
