import type { ErrorData } from '../../src/base/errors.ts';
import { baseName } from '../../src/base/paths.ts';
import { formatBytes, formatCount, formatWhole } from '../../src/base/quantities.ts';
import { layerCount } from '../../src/model/place.ts';
import type { CheckpointView } from '../../src/protocol/service.ts';
import { button } from '../ui/controls.ts';
import { element, fill, setText } from '../ui/dom.ts';
import { errorNotice } from '../ui/errorNotice.ts';
import { formatShape } from '../ui/format.ts';

/** What is known of a checkpoint without computing: a line of facts, and disclosures for warnings and lists. */
export function createHeader(
  root: HTMLElement,
  { retry, openChoice }: { retry(): void; openChoice(path: string): void },
): {
  /** `canRetry` shows the button that tries again, where nothing else on the page offers it. */
  show(checkpoint: CheckpointView | null, error: ErrorData | null, canRetry: boolean): void;
} {
  const title = element('h1');
  const factsRoot = element('div');
  const errorRoot = element('div');
  const noticesRoot = element('div');
  const again = button({ label: 'Try again', appearance: 'primary', onClick: retry });
  root.replaceChildren(title, factsRoot, errorRoot, again.element, noticesRoot);
  let drawn: readonly [CheckpointView | null, ErrorData | null] | null = null;
  return {
    show(checkpoint, error, canRetry) {
      again.set({ hidden: !canRetry });
      setText(title, baseName(checkpoint?.path ?? error?.subject ?? ''));
      title.title = checkpoint?.path ?? error?.subject ?? '';
      // Rebuilt only on a change: rebuilding closes disclosures that the user opened, and a screen reader reads the
      // error again.
      if (drawn?.[1] !== error) fill(errorRoot, error ? errorNotice(error, openChoice) : null);
      if (drawn?.[0] !== checkpoint) {
        fill(factsRoot, checkpoint ? facts(checkpoint) : null);
        fill(noticesRoot, checkpoint ? notices(checkpoint) : null);
      }
      drawn = [checkpoint, error];
    },
  };
}

function facts(checkpoint: CheckpointView): HTMLElement {
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
  add('Format', checkpoint.format);
  add('Family', checkpoint.family ?? 'unknown', checkpoint.family ? '' : 'Unknown naming scheme');
  add(
    'Parameters',
    formatCount(checkpoint.parameters),
    `${formatWhole(checkpoint.parameters)}, with tied tensors counted once`,
  );
  add('Size', formatBytes(checkpoint.bytes), `${formatWhole(checkpoint.bytes)} bytes`);
  add('Types', dtypes(checkpoint));
  add('Layers', checkpoint.layers > 0 ? layerCount(checkpoint) : 'none found');
  add('Tensors', formatWhole(checkpoint.tensors.length));
  return list;
}

/** The stored types, by decreasing size: `BF16, F32`. */
function dtypes({ tensors }: CheckpointView): string {
  const bytes = new Map<string, number>();
  for (const tensor of tensors) bytes.set(tensor.dtype, (bytes.get(tensor.dtype) ?? 0) + tensor.bytes);
  return (
    [...bytes]
      .sort((a, b) => b[1] - a[1])
      .map(([dtype]) => dtype)
      .join(', ') || 'none'
  );
}

function notices(checkpoint: CheckpointView): HTMLElement {
  const { matrices, skipped, ties, warnings, security, metadata } = checkpoint;
  const entries = Object.entries(metadata);
  return element(
    'div',
    { class: 'notices' },
    security.length > 0
      ? disclosure(
          `Security: ${counted(security.length, 'finding')}, worst: ${worst(security)}`,
          security.map(({ grade, subject, explanation }) => [`${grade}: ${subject}`, explanation]),
          security.some(({ grade }) => grade === 'dangerous') ? 'error' : 'warning',
          true,
        )
      : null,
    warnings.length > 0
      ? disclosure(
          counted(warnings.length, 'warning'),
          warnings.map((text) => [text]),
          'warning',
        )
      : null,
    disclosure(
      `${counted(matrices.length, 'matrix', 'matrices')} to analyze`,
      matrices.map((matrix) => [matrix.name, `${formatShape(matrix.shape)} ${matrix.dtype}`]),
    ),
    skipped.length > 0
      ? disclosure(
          `${formatWhole(skipped.length)} skipped`,
          skipped.map(({ name, reason }) => [name, reason]),
        )
      : null,
    ties.length > 0
      ? disclosure(
          `${formatWhole(ties.length)} tied`,
          ties.map((names) => [names.join(' = '), 'same values, analyzed and counted once']),
        )
      : null,
    entries.length > 0 ? disclosure(counted(entries.length, 'metadata entry', 'metadata entries'), entries) : null,
  );
}

/** Lines that a list shows at a time: 100,000 tensors must not become 100,000 elements. */
const LINES = 200;

/** A disclosure with a list, which is built when it is first opened. */
function disclosure(
  summary: string,
  lines: readonly (readonly string[])[],
  kind: '' | 'warning' | 'error' = '',
  open = false,
): HTMLElement {
  const list = element('ul', { attributes: { tabindex: '0', 'aria-label': summary } });
  let shown = 0;
  const more = element('button', { class: 'link', attributes: { type: 'button' }, on: { click: () => showMore() } });
  const showMore = () => {
    const next = lines.slice(shown, shown + LINES);
    list.append(
      ...next.map(([first, second]) =>
        element(
          'li',
          {},
          element('span', { class: 'name', text: first ?? '' }),
          second ? element('span', { class: 'faint', text: second }) : null,
        ),
      ),
    );
    shown += next.length;
    more.hidden = shown >= lines.length;
    more.textContent = `Show ${formatWhole(Math.min(LINES, lines.length - shown))} more of ${formatWhole(lines.length)}`;
  };
  const details = element(
    'details',
    { class: `disclosure ${kind}` },
    element('summary', { text: summary }),
    list,
    more,
  );
  details.addEventListener('toggle', () => {
    if (details.open && shown === 0) showMore();
  });
  details.open = open;
  return details;
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${formatWhole(count)} ${count === 1 ? one : many}`;
}

const GRADES = ['dangerous', 'suspicious', 'unknown'];

function worst(security: CheckpointView['security']): string {
  return GRADES.find((grade) => security.some((finding) => finding.grade === grade)) ?? 'unknown';
}
