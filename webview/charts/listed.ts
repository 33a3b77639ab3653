import { scaleColor } from '../ui/colorScale.ts';
import { element } from '../ui/dom.ts';
import { CELL, type CellValues } from './cells.ts';
import { groupAt, type Layout } from './layout.ts';

interface ListedHooks {
  readonly select: (index: number) => void;
  readonly describe: (index: number) => readonly string[];
}

/** The matrices outside the layers (embeddings, head), each with its name, colour and value. */
export function createListed(
  root: HTMLElement,
  hooks: ListedHooks,
): { show(layout: Layout, values: CellValues, label: (value: number) => string, selected: number): void } {
  return {
    show(layout, values, label, selected) {
      root.hidden = layout.listed.length === 0;
      const focused = root.contains(document.activeElement)
        ? (document.activeElement as HTMLElement).dataset.index
        : null;
      root.replaceChildren(
        ...layout.listed.map((index) => {
          const { module } = layout.matrices[index] ?? groupAt(layout, index)!;
          const swatch = element('span', { class: `swatch ${stateClass(values.states[index]!)}` });
          const share = values.shares[index]!;
          if (!Number.isNaN(share)) swatch.style.backgroundColor = scaleColor(share);
          const value = values.values[index]!;
          const item = element(
            'button',
            {
              class: 'listed-item',
              attributes: {
                type: 'button',
                'aria-pressed': String(index === selected),
                title: hooks.describe(index).join('\n'),
              },
              on: { click: () => hooks.select(index) },
            },
            swatch,
            element('span', { class: 'name', text: module }),
            element('span', { class: 'number', text: Number.isNaN(value) ? '' : label(value) }),
          );
          item.dataset.index = String(index);
          return item;
        }),
      );
      if (focused) root.querySelector<HTMLElement>(`[data-index="${Number(focused)}"]`)?.focus();
    },
  };
}

function stateClass(state: number): string {
  if (state === CELL.preview) return 'preview';
  if (state === CELL.skipped) return 'skipped';
  return state === CELL.pending ? 'pending' : '';
}
