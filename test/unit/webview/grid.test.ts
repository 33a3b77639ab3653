import assert from 'node:assert/strict';
import type { MatrixView } from '../../../src/protocol/service.ts';
import { cellAt, placeIn, step } from '../../../webview/charts/grid.ts';
import { buildLayout } from '../../../webview/charts/layout.ts';
import { orderModules } from '../../../webview/charts/moduleOrder.ts';

const matrix = (layer: number | null, module: string, name = `${layer}.${module}`): MatrixView => ({
  name,
  layer,
  module,
  shape: [8, 8],
  dtype: 'F32',
});

describe('grid', () => {
  it('puts layers in rows and modules in columns, whatever the order in the file', () => {
    const { main, matrices } = buildLayout([
      matrix(10, 'mlp.down_proj'),
      matrix(2, 'self_attn.k_proj'),
      matrix(2, 'self_attn.q_proj'),
      matrix(10, 'self_attn.q_proj'),
    ]);
    assert.deepEqual(main?.rows, ['2', '10']);
    assert.deepEqual(main.columns, ['self_attn.q_proj', 'self_attn.k_proj', 'mlp.down_proj']);
    assert.deepEqual(
      [...main.cells].map((index) => (index < 0 ? null : matrices[index]!.name)),
      ['2.self_attn.q_proj', '2.self_attn.k_proj', null, '10.self_attn.q_proj', null, '10.mlp.down_proj'],
    );
  });

  it('gives each stack of layers rows of its own, in the order of the data flow', () => {
    const placed = (stack: string, layer: number) => ({ ...matrix(layer, 'q', `${stack}.${layer}.q`), stack });
    const { main, matrices } = buildLayout([
      placed('text', 0),
      placed('text', 10),
      placed('text', 2),
      placed('vision', 0),
      placed('audio', 0),
    ]);
    assert.deepEqual(main?.rows, ['vision 0', 'audio 0', 'text 0', 'text 2', 'text 10']);
    assert.deepEqual(main.breaks, [1, 2]);
    assert.deepEqual(
      [...main.cells].map((index) => matrices[index]!.name),
      ['vision.0.q', 'audio.0.q', 'text.0.q', 'text.2.q', 'text.10.q'],
    );
  });

  it('loses no matrix if two in a layer have the same module', () => {
    const { main, matrices } = buildLayout([matrix(0, 'x', 'a'), matrix(0, 'x', 'b'), matrix(0, 'x', 'c')]);
    assert.deepEqual(main?.columns, ['x', 'x (2)', 'x (3)']);
    assert.deepEqual([...main.cells].map((index) => matrices[index]!.name).sort(), ['a', 'b', 'c']);
  });

  it('lists a few matrices outside the layers by name, and draws many as a grid', () => {
    const few = buildLayout([matrix(0, 'q'), matrix(null, 'embed'), matrix(null, 'head')]);
    assert.deepEqual(
      few.listed.map((index) => few.matrices[index]!.module),
      ['embed', 'head'],
    );
    assert.equal(few.loose, null);
    const many = buildLayout(Array.from({ length: 1000 }, (_, index) => matrix(null, `t${index}`)));
    assert.equal(many.main, null);
    assert.deepEqual(many.listed, []);
    assert.equal([...many.loose!.cells].filter((index) => index >= 0).length, 1000);
  });

  it('maps matrices to cells and back', () => {
    const { main, indexOf } = buildLayout([matrix(0, 'q'), matrix(1, 'q'), matrix(1, 'k')]);
    const index = indexOf.get('1.k')!;
    const place = placeIn(main!, index)!;
    assert.deepEqual(place, { row: 1, column: 1 });
    assert.equal(cellAt(main!, place.row, place.column), index);
    assert.equal(cellAt(main!, 0, 1), -1);
    assert.equal(cellAt(main!, -1, 0), -1);
    assert.equal(cellAt(main!, 0, 2), -1);
  });

  it('steps over empty places and stops at the edge', () => {
    const { main } = buildLayout([matrix(0, 'q'), matrix(1, 'k'), matrix(2, 'q')]);
    assert.deepEqual(step(main!, { row: 0, column: 0 }, 1, 0), { row: 2, column: 0 });
    assert.equal(step(main!, { row: 2, column: 0 }, 1, 0), null);
    assert.equal(step(main!, { row: 0, column: 0 }, 0, 1), null);
  });

  it('gives a file without matrices an empty layout', () => {
    const layout = buildLayout([]);
    assert.deepEqual([layout.main, layout.loose, layout.listed], [null, null, []]);
  });
});

describe('module order', () => {
  const orders: Readonly<Record<string, readonly string[]>> = {
    LLaMA: [
      'self_attn.q_proj',
      'self_attn.k_proj',
      'self_attn.v_proj',
      'self_attn.o_proj',
      'mlp.gate_proj',
      'mlp.up_proj',
      'mlp.down_proj',
    ],
    'GPT-2': ['attn.c_attn', 'attn.c_proj', 'mlp.c_fc', 'mlp.c_proj'],
    GGUF: ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'],
    BERT: [
      'attention.self.query',
      'attention.self.key',
      'attention.self.value',
      'attention.output.dense',
      'intermediate.dense',
      'output.dense',
    ],
    'a checkpoint that is partly written as factors': [
      'self_attn.q_proj.lowrank_a',
      'self_attn.q_proj.lowrank_b',
      'self_attn.k_proj',
      'self_attn.o_proj.svd_u',
      'self_attn.o_proj.svd_v',
      'mlp.gate_proj',
      'mlp.down_proj.lowrank_a',
      'mlp.down_proj.lowrank_b',
    ],
    'a mixture of experts': [
      'self_attn.q_proj',
      'mlp.gate',
      'mlp.experts.2.gate_proj',
      'mlp.experts.2.down_proj',
      'mlp.experts.10.gate_proj',
    ],
  };
  for (const [family, expected] of Object.entries(orders))
    it(`follows the data through ${family}`, () => {
      assert.deepEqual(orderModules([...expected].sort()), expected);
      assert.deepEqual(orderModules([...expected].reverse()), expected);
    });

  it('sorts unknown names by their numbers', () =>
    assert.deepEqual(orderModules(['part_10', 'part_9', 'part_1']), ['part_1', 'part_9', 'part_10']));
});
