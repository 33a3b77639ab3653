import assert from 'node:assert/strict';
import { apportionRanks, shortTargets } from '../../../../src/model/lora/suggestion.ts';

describe('the suggestion of ranks', () => {
  const module = (effectiveRank: number, m = 64, n = 64) => {
    return { name: 'x', shape: [m, n] as const, effectiveRank, seen: false };
  };

  it('gives ranks in proportion to the effective ranks, and spends the budget', () => {
    assert.deepEqual(apportionRanks([module(10), module(20), module(30)], 12 * 128), [2, 4, 6]);
    const modules = [module(11), module(23.5), module(17, 64, 32), module(3, 32, 32)];
    const budget = 16 * modules.reduce((sum, { shape: [m, n] }) => sum + m + n, 0);
    const used = apportionRanks(modules, budget).reduce((sum, rank, k) => {
      const [m, n] = modules[k]!.shape;
      return sum + rank * (m + n);
    }, 0);
    assert.ok(used <= budget && budget - used < 64, `${used} of ${budget}`);
  });

  it('gives every module one rank at least and its break-even rank at most', () => {
    assert.deepEqual(apportionRanks([module(0.01), module(60)], 40 * 128), [8, 32]);
    assert.deepEqual(apportionRanks([module(0), module(0)], 2 * 128), [1, 1]);
    assert.deepEqual(apportionRanks([module(1), module(1000)], 2 * 128), [1, 1]);
  });

  it('names modules by the shortest end of their paths that others do not have', () => {
    const all = ['h.0.attn.c_proj', 'h.0.mlp.c_proj', 'h.1.attn.c_proj', 'h.0.attn.to_out.0', 'h.0.x.0', 'lm_head'];
    assert.deepEqual(shortTargets(['h.0.attn.c_proj', 'h.1.attn.c_proj'], all), ['attn.c_proj']);
    assert.deepEqual(shortTargets(['h.0.attn.to_out.0'], all), ['to_out.0']);
    assert.deepEqual(shortTargets(['h.0.attn.c_proj', 'h.1.attn.c_proj', 'h.0.mlp.c_proj'], all), ['c_proj']);
  });
});
