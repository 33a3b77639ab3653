import assert from 'node:assert/strict';
import { expertPattern, roundsOf, sharedModule, spreadOrder } from '../../../src/model/experts.ts';

describe('experts', () => {
  it('share a module, whether they are split or stacked', () => {
    const shared = (module: string, expert: number) => sharedModule({ layer: 0, module, expert });
    assert.equal(shared('mlp.experts.17.gate_proj', 17), 'mlp.experts.gate_proj');
    assert.equal(shared('mlp.experts.gate_up_proj[17]', 17), 'mlp.experts.gate_up_proj');
    assert.equal(shared('mlp.experts.wi[17][1]', 17), 'mlp.experts.wi[1]');
    assert.equal(shared('block_sparse_moe.experts.7.w1', 7), 'block_sparse_moe.experts.w1');
    assert.equal(shared('experts.007.up', 7), 'experts.up');
    assert.equal(shared('mlp.expert_3', 3), 'mlp.expert');
    assert.equal(shared('ffn_down_exps[0]', 0), 'ffn_down_exps');
    assert.equal(sharedModule({ layer: 0, module: 'mlp.shared_experts.up_proj' }), 'mlp.shared_experts.up_proj');
  });

  it('have a pattern for a name, which differs between layers and modules', () => {
    const pattern = (name: string) => expertPattern(name, 7);
    assert.equal(pattern('model.layers.7.mlp.experts.7.up_proj.weight'), 'model.layers.7.mlp.experts.*.up_proj.weight');
    assert.equal(pattern('model.layers.3.mlp.experts.up_proj[7]'), 'model.layers.3.mlp.experts.up_proj[*]');
    assert.equal(pattern('layers.mlp.experts.up_proj[7][7]'), 'layers.mlp.experts.up_proj[7][*]');
    assert.equal(pattern('blk.3.ffn_up_exps.weight[7]'), 'blk.3.ffn_up_exps.weight[*]');
    assert.equal(pattern('h/3/expert_7/wi'), 'h/3/expert_*/wi');
  });

  it('are sampled evenly', () => {
    assert.deepEqual(spreadOrder(8), [0, 4, 2, 6, 1, 5, 3, 7]);
    assert.deepEqual(spreadOrder(5), [0, 4, 2, 1, 3]);
    assert.deepEqual([spreadOrder(0), spreadOrder(1)], [[], [0]]);
    const all = spreadOrder(256);
    assert.deepEqual(
      [...all].sort((a, b) => a - b),
      Array.from({ length: 256 }, (_, k) => k),
    );
    assert.deepEqual(all.slice(0, 4), [0, 128, 64, 192]);
  });

  it('come in three rounds: one of each layer and module, a few more, all others', () => {
    const places = [3, 4].flatMap((layer) => [
      { layer, module: 'self_attn.q_proj' },
      ...['up', 'down'].flatMap((part) =>
        Array.from({ length: 16 }, (_, expert) => ({ layer, module: `experts.${expert}.${part}`, expert })),
      ),
    ]);
    const rounds = roundsOf(places);
    const of = (round: number) => places.filter((_, index) => rounds[index] === round);
    assert.deepEqual(
      [0, 1, 2].map((round) => of(round).length),
      [2 + 4, 12, 48],
    );
    assert.deepEqual(
      new Set(of(0).map(({ layer, ...place }) => `${layer} ${sharedModule({ layer, ...place })}`)).size,
      6,
    );
  });
});
