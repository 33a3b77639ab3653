import assert from 'node:assert/strict';
import fc from 'fast-check';
import { findAdapterPairs } from '../../../src/adapters/pairs.ts';
import { RankscopeError } from '../../../src/base/errors.ts';
import { createService } from '../../../src/service/service.ts';
import { testFolder } from '../formats/folder.ts';
import { f32File } from '../formats/safetensorsBytes.ts';
import { tensor } from '../model/tensors.ts';

const PARTS = [
  ...[
    'lora_A.weight',
    'lora_B.weight',
    'lora_A.de.weight',
    'lora_B.de.weight',
    'lora_E',
    'lora_embedding_A',
    'lora_embedding_B',
  ],
  ...[
    'lora_down.weight',
    'lora_up.weight',
    'lora_mid.weight',
    'alpha',
    'dora_scale',
    'lora_magnitude_vector',
    'oft_R.weight',
  ],
  ...['hada_w1_a', 'hada_w1_b', 'hada_w2_a', 'hada_w2_b', 'hada_t1', 'hada_t2'],
  ...['lokr_w1', 'lokr_w1_a', 'lokr_w1_b', 'lokr_t1', 'lokr_w2', 'lokr_w2_a', 'lokr_w2_b', 'lokr_t2', 'diff'],
  ...['lora_a', 'lora_b', 'lora_a.weight', 'lora_b.weight', 'weight.lora_a', 'weight.lora_b', 'm', 'lora_diag'],
  ...['processor.qkv_lora1.down.weight', 'processor.qkv_lora1.up.weight', 'loras.x.lora_A', 'loras.x.lora_B'],
  ...['adapter.linear_in.weight', 'adapter.linear_out.weight'],
];
const RELATED = [
  ...['c3a_kernel', 'vblora_logits_A', 'vblora_logits_B', 'vblora_vector_bank', 'vblora_logits_A_topk_indices'],
  ...['vblora_logits_A_topk_weights', 'gralora_A', 'gralora_B', 'gralora_A_general', 'gralora_B_general', 'delora_A'],
  ...['delora_B', 'delora_lambda', 'delora_w_norm', 'vera_A', 'vera_B', 'vera_lambda_b', 'vera_lambda_d', 'pvera_A'],
  ...['pvera_B', 'pvera_lambda_b', 'pvera_lambda_d', 'shira_weight', 'shira_indices', 'supertuning_values'],
  ...['supertuning_indices', 'supertuning_lora_A', 'supertuning_lora_B', 'unilora_theta_d', 'unilora_indices_A'],
  ...[
    'unilora_indices_B',
    'unilora_scales_A',
    'unilora_scales_B',
    'tinylora_A',
    'tinylora_B',
    'tinylora_P',
    'tinylora_v',
  ],
];
const size = fc.constantFrom(0, 1, 2, 2, 2, 3, 4);
const values = fc.constantFrom(0, 1, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 3e38, 1e-45);
/** Some of these parts for two layers, with any shapes and values. */
const tensorsOf = (parts: readonly string[]) =>
  fc.dictionary(
    fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom(...parts)).map(([layer, part]) => `${layer}.${part}`),
    fc.tuple(fc.array(size, { maxLength: 4 }), fc.infiniteStream(values)),
    { maxKeys: 14 },
  );
const tensors = tensorsOf(PARTS);
const related = tensorsOf(RELATED);

describe('parts of adapters of any shapes', function () {
  this.timeout(240_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());

  it('pairs factors of matching sizes and refuses the others', () => {
    fc.assert(
      fc.property(tensors, (given) => {
        const found = findAdapterPairs(Object.entries(given).map(([name, [shape]]) => tensor(name, shape)));
        for (const { shape, rank, stored } of found?.pairs ?? []) {
          assert.ok(shape.every((side) => Number.isInteger(side) && side > 0) && rank > 0);
          if (stored.kind !== 'lora') assert.ok(rank <= Math.min(...shape));
        }
        const used = (found?.refused ?? []).flatMap((refused) => refused.tensors.map(({ name }) => name));
        assert.equal(new Set(used).size, used.length, 'each is refused once');
      }),
      { numRuns: 3000 },
    );
  });

  it('analyzes and compares arbitrary parts without crashing, and names what is wrong', async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.oneof(tensors, related), fc.oneof(tensors, related), async (...both) => {
        const paths = both.map((given, index) => {
          const named = Object.entries(given).map(([name, [shape, stream]]) => {
            const length = shape.reduce<number>((product, side) => product * side, 1);
            return [name, { shape, values: Array.from({ length }, () => stream.next().value as number) }] as const;
          });
          return folder.write(`${run}-${index}.safetensors`, f32File(Object.fromEntries(named)));
        });
        run++;
        const { matrices } = await service.analyze({ path: paths[0]!, engine: 'cpu', cache: false });
        for (const { frobeniusNorm, name } of matrices) assert.ok(frobeniusNorm >= 0, name);
        try {
          const { layers } = await service.compare({ paths });
          for (const { updates, pairs } of layers) {
            for (const update of updates) assert.ok(update === null || update.norm >= 0);
            for (const { cosine } of pairs) assert.ok(cosine === null || Math.abs(cosine) <= 1);
          }
        } catch (error) {
          assert.ok(error instanceof RankscopeError && error.code === 'wrong-use', String(error));
        }
      }),
      { numRuns: 250 },
    );
  });
});
