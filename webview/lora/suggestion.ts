import { formatWhole } from '../../src/base/quantities.ts';
import type { LoraSuggestion, SuggestedModule } from '../../src/model/lora/suggestion.ts';
import { suggestionFiles } from '../../src/model/lora/suggestionText.ts';
import { button, select } from '../ui/controls.ts';
import { element, fill, setText } from '../ui/dom.ts';
import { formatPercent, formatShape, formatValue } from '../ui/format.ts';
import { firstPlace, showTable } from '../ui/table.ts';
import { SET_NAMES } from './words.ts';

/** The tool that reads each file, and the language of the file. */
const FILES: Readonly<Record<string, { readonly tool: string; readonly language: string }>> = {
  'lora_config.py': { tool: 'PEFT: LoraConfig', language: 'python' },
  'adapter_config.json': { tool: 'PEFT: adapter_config.json', language: 'json' },
  'axolotl.yaml': { tool: 'axolotl', language: 'yaml' },
  'llamafactory.yaml': { tool: 'LLaMA-Factory', language: 'yaml' },
};

interface SuggestionActions {
  readonly copy: (text: string) => void;
  readonly open: (text: string, language: string) => void;
  readonly save: (name: string, text: string) => void;
  /** Another of the files is looked at. */
  readonly choose: (file: string) => void;
}

/** A rank for each module with its reason, and the configurations that say so to a tool. */
export function createSuggestion(
  root: HTMLElement,
  actions: SuggestionActions,
): { show(suggestion: LoraSuggestion, file: string): void } {
  let text = '';
  let shown = 'lora_config.py';
  const sentence = element('p');
  const reasons = element('ul', { class: 'reasons' });
  const table = element('div', { class: 'table-root' });
  const options = Object.entries(FILES).map(([id, { tool }]) => ({ id, label: tool }));
  const file = select('Configuration', options, actions.choose);
  const copy = button({ label: 'Copy', appearance: 'primary', onClick: () => actions.copy(text) });
  const open = button({ label: 'Open', onClick: () => actions.open(text, FILES[shown]!.language) });
  const save = button({ label: 'Save…', onClick: () => actions.save(shown, text) });
  const code = element('pre', { class: 'code', attributes: { tabindex: '0', 'aria-label': 'Configuration' } });
  const place = firstPlace();
  fill(
    root,
    sentence,
    reasons,
    table,
    element('div', { class: 'tools' }, file.element, copy.element, open.element, save.element),
    code,
  );
  let drawn: LoraSuggestion | null = null;
  return {
    show(suggestion, wanted) {
      shown = wanted in FILES ? wanted : 'lora_config.py';
      file.set(shown);
      text = suggestionFiles(suggestion)[shown]!;
      setText(code, text);
      if (drawn === suggestion) return;
      drawn = suggestion;
      const { modules, parameters, budget, reasoning, targets, uniformRank } = suggestion;
      setText(
        sentence,
        `${SET_NAMES[targets][0]!.toUpperCase()}${SET_NAMES[targets].slice(1)}: ${formatWhole(parameters)} of the ${formatWhole(budget)} parameters that rank ${uniformRank} takes in every module.`,
      );
      fill(reasons, ...reasoning.map((reason) => element('li', { text: reason })));
      const most = modules.reduce((largest, { rank }) => Math.max(largest, rank), 1);
      showTable<SuggestedModule>(
        table,
        {
          caption: 'A rank for each module',
          rows: modules,
          columns: [
            { head: 'Module', text: ({ name }) => name },
            { head: 'Shape', text: ({ shape }) => formatShape(shape) },
            {
              head: 'Effective rank',
              numeric: true,
              text: ({ effectiveRank }) => formatValue(effectiveRank),
              order: ({ effectiveRank }) => effectiveRank,
            },
            {
              head: 'Of the parameters',
              numeric: true,
              text: (module) => formatPercent(parametersOf(module) / parameters),
              order: parametersOf,
            },
            {
              head: 'Rank',
              numeric: true,
              text: ({ rank }) => String(rank),
              order: ({ rank }) => rank,
              share: ({ rank }) => rank / most,
            },
            { head: 'Reason', text: ({ reason }) => reason },
          ],
        },
        place,
      );
    },
  };
}

const parametersOf = ({ rank, shape: [m, n] }: SuggestedModule): number => rank * (m + n);
