import assert from 'node:assert/strict';
import { distributionOf, quantile } from '../../../src/model/distribution.ts';
import type { MatrixFinding } from '../../../src/model/findings.ts';
import type { MatrixView } from '../../../src/protocol/service.ts';
import { CELL } from '../../../webview/charts/cells.ts';
import { buildLayout, groupAt, nameAt, neighbour } from '../../../webview/charts/layout.ts';
import { linesOf } from '../../../webview/inspector/cellLines.ts';
import { cellValues } from '../../../webview/inspector/cellValues.ts';
import { measureById } from '../../../webview/inspector/measures.ts';
import { rowsOf } from '../../../webview/inspector/rows.ts';
import { INITIAL_VIEW, type Model } from '../../../webview/inspector/state.ts';
import { wantedOf } from '../../../webview/inspector/wanted.ts';
import { finding } from './findings.ts';

const measure = measureById('effectiveRank');

function matrix(layer: number | null, module: string, expert?: number): MatrixView {
  const name = layer === null ? module : `layers.${layer}.${module}`;
  return { name, layer, module, shape: [64, 32], dtype: 'F32', ...(expert === undefined ? {} : { expert }) };
}

/** Two layers with a router and four experts of two modules each, split in one layer and stacked in the other. */
const matrices = [
  matrix(null, 'embed'),
  ...[0, 1].flatMap((layer) => [
    matrix(layer, 'mlp.gate'),
    ...[3, 1, 0, 2].flatMap((expert) =>
      ['up_proj', 'down_proj'].map((part) =>
        layer === 0
          ? matrix(layer, `mlp.experts.${expert}.${part}`, expert)
          : matrix(layer, `mlp.experts.${part}[${expert}]`, expert),
      ),
    ),
  ]),
];
const layout = buildLayout(matrices);
const up = layout.groups[0]!;
const upCell = layout.indexOf.get(up.name)!;

function modelWith(...known: readonly MatrixFinding[]): Model {
  const findings = new Map(known.map((one) => [one.name, one]));
  return { layout, findings, skipped: new Map(), ranks: {} } as unknown as Model;
}
const expert = (index: number, effectiveRank: number, provenance: MatrixFinding['provenance'] = 'exact') =>
  finding(`layers.0.mlp.experts.${index}.up_proj`, { effectiveRank, provenance });

describe('the experts of a layer', () => {
  it('share one cell for each module, whether they are split or stacked', () => {
    assert.deepEqual(layout.main?.columns, ['mlp.gate', 'mlp.experts.up_proj', 'mlp.experts.down_proj']);
    assert.deepEqual(
      [...layout.main.cells].map((cell) => nameAt(layout, cell)),
      [
        ...['layers.0.mlp.gate', 'layers.0.mlp.experts.*.up_proj', 'layers.0.mlp.experts.*.down_proj'],
        ...['layers.1.mlp.gate', 'layers.1.mlp.experts.up_proj[*]', 'layers.1.mlp.experts.down_proj[*]'],
      ],
    );
    assert.equal(layout.matrices.length, matrices.length);
    assert.deepEqual(
      up.members.map((member) => layout.matrices[member]!.expert),
      [0, 1, 2, 3],
    );
    for (const member of up.members) assert.equal(layout.groupOf[member], upCell);
    assert.equal(layout.groupOf[layout.indexOf.get('embed')!], -1);
  });

  it('are the columns of a grid of their module', () => {
    assert.deepEqual([...layout.expertGrids.keys()], ['mlp.experts.up_proj', 'mlp.experts.down_proj']);
    const grid = layout.expertGrids.get('mlp.experts.up_proj')!;
    assert.deepEqual(grid.rows, ['0', '1']);
    assert.deepEqual(
      grid.columns,
      [0, 1, 2, 3].map((index) => `mlp.experts.up_proj.${index}`),
    );
    assert.equal(nameAt(layout, grid.cells[6]!), 'layers.1.mlp.experts.up_proj[2]');
  });

  it('stay apart where two of a layer have the same number, and alone where there is one', () => {
    const twice = buildLayout([matrix(0, 'a.experts.0.up', 0), { ...matrix(0, 'a.experts.0.up', 0), name: 'again' }]);
    assert.deepEqual([twice.groups.length, twice.matrices.length], [0, 2]);
    assert.deepEqual([...twice.main!.cells], [0, 1]);
    assert.equal(buildLayout([matrix(0, 'experts.0.up', 0)]).groups.length, 0);
  });

  it('show the median of those that are known, and are exact once all of them are', () => {
    const some = modelWith(expert(0, 8), expert(1, 16), expert(3, 32, 'preview'));
    const values = cellValues(layout, some.findings, some.skipped, measure, 'absolute');
    assert.equal(values.values[upCell], 16);
    assert.equal(values.states[upCell], CELL.preview);
    assert.deepEqual(values.spreads.get(upCell)?.quartiles, [(12 - 8) / 24, (24 - 8) / 24]);
    const other = layout.indexOf.get('layers.0.mlp.experts.*.down_proj')!;
    assert.equal(values.states[other], CELL.pending);
    assert.ok(!values.spreads.has(other));
    const all = modelWith(expert(0, 8), expert(1, 16), expert(2, 20), expert(3, 32));
    const done = cellValues(layout, all.findings, all.skipped, measure, 'absolute');
    assert.deepEqual([done.values[upCell], done.states[upCell]], [18, CELL.exact]);
    const rest = new Map([['layers.0.mlp.experts.2.up_proj', 'not finite']]);
    const three = modelWith(expert(0, 8), expert(1, 16), expert(3, 32));
    assert.equal(cellValues(layout, three.findings, rest, measure, 'absolute').states[upCell], CELL.exact);
  });

  it('are described by median, quartiles, range and how many are known', () => {
    const model = modelWith(expert(0, 8), expert(1, 16), expert(3, 32, 'preview'));
    assert.deepEqual(linesOf(model, { ...INITIAL_VIEW, basis: 'absolute' }, upCell), [
      'layers.0.mlp.experts.*.up_proj',
      '4 experts of 64 × 32 F32',
      'Effective rank: median 16',
      'half of them from 12 to 24, all from 8 to 32',
      '3 of 4 experts, 2 of them exact, the others previewed',
    ]);
    assert.equal(linesOf(modelWith(), INITIAL_VIEW, upCell).at(-1), 'None of 4 experts analyzed yet');
  });

  it('are requested one of each visible cell first, and all of the selected one', () => {
    const cells = [...layout.main!.cells];
    const none = wantedOf(modelWith(), cells, null);
    assert.equal(none.length, 6);
    assert.equal(none.filter((name) => name.startsWith('layers.0.mlp.experts')).length, 2);
    const selected = wantedOf(modelWith(expert(1, 4)), cells, up.name);
    assert.deepEqual(
      selected.filter((name) => name.includes('layers.0') && name.endsWith('up_proj')).sort(),
      [0, 2, 3].map((index) => `layers.0.mlp.experts.${index}.up_proj`),
    );
    assert.ok(
      !wantedOf(modelWith(expert(1, 4)), cells, null).some((name) => name.startsWith('layers.0.mlp.experts.1.up')),
    );
  });

  it('are one row of a table, unless a filter picks some of them or their module is opened', () => {
    const names = (filter: string, opened: string | null = null) =>
      rowsOf(layout, filter, opened).map((cell) => nameAt(layout, cell));
    assert.equal(names('').length, 7);
    assert.deepEqual(names('layers.0 up_proj'), ['layers.0.mlp.experts.*.up_proj']);
    assert.deepEqual(names('EXPERTS.2.up'), ['layers.0.mlp.experts.2.up_proj']);
    assert.deepEqual(names('nothing'), []);
    assert.equal(names('', 'mlp.experts.up_proj').length, 7 - 2 + 8);
  });

  it('lead to each other and to the cells beside theirs', () => {
    assert.equal(neighbour(layout, up.name, 1), 'layers.0.mlp.experts.*.down_proj');
    assert.equal(neighbour(layout, 'layers.0.mlp.experts.2.up_proj', 1), 'layers.0.mlp.experts.3.up_proj');
    assert.equal(neighbour(layout, 'layers.0.mlp.experts.3.up_proj', 1), undefined);
    assert.equal(neighbour(layout, 'unknown', 1), undefined);
    assert.equal(groupAt(layout, upCell), up);
  });
});

describe('a distribution', () => {
  it('has the quantiles of numpy', () => {
    const sorted = Float64Array.of(1, 2, 4, 8, 16);
    assert.deepEqual(
      [0, 0.1, 0.25, 0.5, 0.9, 1].map((share) => quantile(sorted, share)),
      [1, 1.4, 2, 4, 12.8, 16],
    );
    assert.ok(Number.isNaN(quantile(new Float64Array(0), 0.5)));
  });

  it('names the experts at its ends, and ignores those without a value', () => {
    const known = [expert(0, 8), expert(1, 2), finding('without', { effectiveRank: Number.NaN })];
    const shown = distributionOf(known, ({ effectiveRank }) => effectiveRank)!;
    assert.deepEqual([shown.least, shown.most, shown.median], [2, 8, 5]);
    assert.deepEqual([shown.leastName, shown.mostName], [known[1]!.name, known[0]!.name]);
    assert.equal(
      distributionOf([], () => 1),
      null,
    );
  });
});
