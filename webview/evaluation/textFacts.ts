import { formatWhole } from '../../src/base/quantities.ts';
import { element, fill } from '../ui/dom.ts';
import { formatDuration } from '../ui/format.ts';
import type { TextRuns } from './texts.ts';
import { formatMeasured, formatPerplexity, sourceText } from './words.ts';

/** The text, its windows, what was left out of it, and the dense model, which all variants are compared with. */
export function showTextFacts(root: HTMLElement, { runs }: TextRuns): void {
  const last = runs.at(-1)!;
  const { text, dense } = last;
  const list = element('dl', { class: 'facts' });
  const add = (term: string, value: string, title = '') =>
    list.append(
      element(
        'div',
        title ? { attributes: { title } } : {},
        element('dt', { text: term }),
        element('dd', { text: value }),
      ),
    );
  add('Dense perplexity', formatPerplexity(dense.perplexity), `Loss ${dense.loss} ± ${dense.lossError} nats per token`);
  add('Dense loss', `${formatMeasured(dense.loss, dense.lossError)} nats per token`);
  add('Text', text.name);
  add(
    'Tokens',
    `${formatWhole(text.tokens)}, ${formatWhole(text.scored)} scored`,
    'The first token of a window is not scored',
  );
  add('Windows', `${formatWhole(text.windows)} of ${formatWhole(text.context)} tokens`);
  add(
    'Left out',
    text.dropped === 0 ? 'nothing' : `${formatWhole(text.dropped)} tokens`,
    'Beyond the limit, or too few at the end for a whole window',
  );
  add('Start token', text.startToken === null ? 'none' : String(text.startToken));
  add('Tokenizer', text.tokenizer);
  add('Measured by', [...new Set(runs.map(sourceText))].join(', '));
  add('Device', `${last.engine.device || last.engine.name}, ${formatDuration(last.seconds)}`, last.engine.reason);
  fill(root, list);
}
