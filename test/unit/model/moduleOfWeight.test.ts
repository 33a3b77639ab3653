import assert from 'node:assert/strict';
import {
  expertOfStack,
  factorModule,
  moduleOfWeight,
  weightOfModule,
} from '../../../src/model/names/moduleOfWeight.ts';

describe('the module of a weight', () => {
  it('has its name without the last word, and the weight has that of the module with it', () => {
    for (const weight of ['layers.0.up_proj.weight', 'experts.down_proj[3]', 'experts.weight[12]'])
      assert.equal(weightOfModule(moduleOfWeight(weight)), weight);
    assert.equal(moduleOfWeight('layers.0.up_proj.weight'), 'layers.0.up_proj');
  });

  it('is one of a list where the weight is an expert of a stack', () => {
    assert.equal(factorModule('layers.0.up_proj.weight'), 'layers.0.up_proj');
    assert.equal(factorModule('mlp.experts.down_proj[3]'), 'mlp.experts.down_proj.experts.3');
    // The stack may be the weight of a module itself.
    assert.equal(factorModule('moe.input_linear.weight[0]'), 'moe.input_linear.weight.experts.0');
    assert.deepEqual(expertOfStack('experts.down_proj[3]'), { stack: 'experts.down_proj', expert: 3 });
  });

  it('is no expert where a name has several indices, or other brackets', () => {
    for (const name of ['layers[2][3]', 'down_proj', 'x[a]', '[3]']) assert.equal(expertOfStack(name), undefined, name);
  });
});
