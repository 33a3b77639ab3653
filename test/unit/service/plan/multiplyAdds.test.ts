import assert from 'node:assert/strict';
import { anatomy } from '../../../../src/model/names/anatomy.ts';
import { multiplyAddsOf } from '../../../../src/service/plan/multiplyAdds.ts';
import { tensor } from '../../model/tensors.ts';

const CONFIGURATION = { num_local_experts: 8, num_experts_per_tok: 2 };

describe('the multiply-adds of a token', () => {
  const layer = 'model.layers.1.mlp.';
  const attention = tensor('model.layers.1.self_attn.q_proj.weight', [16, 16]);
  const forms = {
    'of their own': Array.from({ length: 8 }, (_, k) => tensor(`${layer}experts.${k}.up_proj.weight`, [24, 16])),
    'in one tensor': [tensor(`${layer}experts.up_proj`, [8, 24, 16])],
  };

  for (const [form, experts] of Object.entries(forms))
    it(`count each expert as often as tokens pass it, for experts ${form}`, () => {
      const { matrices } = anatomy([attention, ...experts]);
      const count = multiplyAddsOf({ configuration: CONFIGURATION, metadata: new Map() }, matrices, () => []);
      for (const matrix of matrices)
        if (matrix.expert === null) assert.deepEqual(count(matrix), { dense: 256, perRank: 32 });
        else assert.deepEqual(count(matrix), { dense: (24 * 16) / 4, perRank: (24 + 16) / 4 }, matrix.name);
      assert.equal(matrices.length, 9);
    });
});
