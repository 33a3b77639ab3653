import {
  type Button,
  type Checkbox,
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodeCheckbox,
  vsCodeProgressRing,
} from '@vscode/webview-ui-toolkit';
import { groupBy } from '../../src/base/groupBy.ts';
import { element } from './dom.ts';

// The only file that imports the toolkit, which is archived upstream: replacing it must be a change of one file. Its
// dropdown is not used, because it writes style attributes, which the pages' content security policy forbids, and its
// list is clipped at the edge of a pane.
provideVSCodeDesignSystem().register(vsCodeButton(), vsCodeCheckbox(), vsCodeProgressRing());

interface ButtonOptions {
  readonly label: string;
  readonly onClick: () => void;
  readonly appearance?: 'primary' | 'secondary' | 'icon';
  /** Tooltip and accessible name, where the label is a symbol. */
  readonly title?: string;
}

export interface ButtonControl {
  readonly element: HTMLElement;
  set(change: { label?: string; disabled?: boolean; hidden?: boolean }): void;
}

export function button({ label, onClick, appearance = 'secondary', title }: ButtonOptions): ButtonControl {
  const made = document.createElement('vscode-button') as Button;
  made.setAttribute('appearance', appearance);
  made.textContent = label;
  if (title) {
    made.title = title;
    made.ariaLabel = title;
    made.setAttribute('aria-label', title);
  }
  made.addEventListener('click', () => {
    if (!made.disabled) onClick();
  });
  return {
    element: made,
    set({ label: text, disabled, hidden }) {
      if (text !== undefined && made.textContent !== text) made.textContent = text;
      if (disabled !== undefined) made.disabled = disabled;
      if (hidden !== undefined) made.hidden = hidden;
    },
  };
}

export interface CheckboxControl {
  readonly element: HTMLElement;
  set(checked: boolean): void;
}

export function checkbox(label: string, checked: boolean, onChange: (checked: boolean) => void): CheckboxControl {
  const made = document.createElement('vscode-checkbox') as Checkbox;
  made.textContent = label;
  made.checked = checked;
  // The toolkit also fires `change` when `checked` is set by code.
  let expected = checked;
  made.addEventListener('change', () => {
    if (made.checked === expected) return;
    expected = made.checked;
    onChange(made.checked);
  });
  return {
    element: made,
    set(value) {
      expected = value;
      made.checked = value;
    },
  };
}

/** A text field; `onCommit` is called when the user presses Enter or leaves the field. */
export function textField(label: string, placeholder: string, onCommit: (value: string) => void): HTMLInputElement {
  const made = element('input', { class: 'text', attributes: { type: 'text', 'aria-label': label, placeholder } });
  made.addEventListener('change', () => onCommit(made.value));
  return made;
}

export function progressRing(label: string): HTMLElement {
  const made = document.createElement('vscode-progress-ring');
  made.setAttribute('aria-label', label);
  return made;
}

export interface SelectOption {
  readonly id: string;
  readonly label: string;
  /** The heading under which neighbours of the same group are listed. */
  readonly group?: string;
}

export interface SelectControl {
  readonly element: HTMLSelectElement;
  set(value: string): void;
  setOptions(options: readonly SelectOption[]): void;
}

/** A native select element. */
export function select(label: string, options: readonly SelectOption[], onChange: (id: string) => void): SelectControl {
  const made = element('select', { class: 'select', attributes: { 'aria-label': label } });
  made.addEventListener('change', () => onChange(made.value));
  const setOptions: SelectControl['setOptions'] = (choices) =>
    made.replaceChildren(
      ...[...groupBy(choices, ({ group }) => group ?? '')].flatMap(([group, members]) => {
        const entries = members.map(({ id, label: text }) => element('option', { text, attributes: { value: id } }));
        return group === '' ? entries : [element('optgroup', { attributes: { label: group } }, ...entries)];
      }),
    );
  setOptions(options);
  return {
    element: made,
    setOptions,
    set(value) {
      made.value = value;
    },
  };
}

export interface NumberControl {
  readonly element: HTMLInputElement;
  set(value: number | null): void;
  setRange(min: number, max: number, step?: number): void;
}

/**
 * A number field; `onChange` gets numbers in the range, rounded to a multiple of `step`, and null for an empty field.
 */
export function numberField(
  label: string,
  min: number,
  max: number,
  onChange: (value: number | null) => void,
): NumberControl {
  const made = element('input', {
    class: 'number',
    attributes: { type: 'number', step: '1', min: String(min), max: String(max), 'aria-label': label },
  });
  // An update from elsewhere must not overwrite what the user is typing.
  let typing = false;
  made.addEventListener('input', () => {
    typing = true;
  });
  made.addEventListener('blur', () => {
    typing = false;
  });
  made.addEventListener('change', () => {
    typing = false;
    if (made.value === '') return onChange(null);
    const inside = Math.min(Number(made.max), Math.max(Number(made.min), made.valueAsNumber));
    const step = Number(made.step);
    const value = Number((Math.round(inside / step) * step).toPrecision(12));
    made.value = String(value);
    onChange(value);
  });
  return {
    element: made,
    set(value) {
      if (!typing && (document.activeElement !== made || value !== made.valueAsNumber))
        made.value = value === null ? '' : String(value);
    },
    setRange(low, high, step = 1) {
      made.min = String(low);
      made.max = String(high);
      made.step = String(step);
    },
  };
}

/** A field for several lines; `onCommit` gets the non-empty ones when the user leaves the field. */
export function linesField(
  label: string,
  placeholder: string,
  onCommit: (lines: readonly string[]) => void,
): LinesControl {
  const made = element('textarea', {
    class: 'lines',
    attributes: { rows: '2', spellcheck: 'false', 'aria-label': label, placeholder },
  });
  made.addEventListener('change', () =>
    onCommit(
      made.value
        .split('\n')
        .map((line) => line.trim())
        .filter(Boolean),
    ),
  );
  return {
    element: made,
    set(lines) {
      if (document.activeElement === made) return;
      made.value = lines.join('\n');
      made.rows = Math.max(2, lines.length);
    },
  };
}

export interface LinesControl {
  readonly element: HTMLTextAreaElement;
  /** Sets the lines, unless the user is typing in the field. */
  set(lines: readonly string[]): void;
}

export interface SliderControl {
  readonly element: HTMLInputElement;
  set(value: number): void;
  setRange(min: number, max: number, step: number): void;
  /** Sets the text that a screen reader says instead of the number. */
  describe(text: string): void;
}

/** A native slider; `onInput` is called for every movement, `onCommit` at its end. */
export function slider(
  label: string,
  onInput: (value: number) => void,
  onCommit?: (value: number) => void,
): SliderControl {
  const made = element('input', { class: 'slider', attributes: { type: 'range', 'aria-label': label } });
  made.addEventListener('input', () => onInput(made.valueAsNumber));
  if (onCommit) made.addEventListener('change', () => onCommit(made.valueAsNumber));
  return {
    element: made,
    set(value) {
      made.value = String(value);
    },
    setRange(min, max, step) {
      made.min = String(min);
      made.max = String(max);
      made.step = String(step);
    },
    describe: (text) => made.setAttribute('aria-valuetext', text),
  };
}
