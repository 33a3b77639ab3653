import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createService } from '../../../src/service/service.ts';
import { checkValues } from '../../numeric/checks.ts';
import { testFolder } from '../formats/folder.ts';
import { python } from '../formats/python.ts';

interface Truth {
  readonly made: Readonly<Record<string, Readonly<Record<string, Update>> | null>>;
  readonly skipped: Readonly<Record<string, string>>;
}

interface Update {
  readonly shape: readonly [number, number];
  readonly values: readonly number[];
}

const SCRIPT = readFileSync(new URL('../../python/peft_methods.py', import.meta.url), 'utf8');

describe('the methods of PEFT', function () {
  this.timeout(240_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());

  it('add what PEFT itself computes in float64, or are named, and compare with themselves', async function () {
    const { made, skipped } = python(this, ['peft', 'transformers', 'torch'], SCRIPT, folder.path()) as Truth;
    assert.ok(Object.keys(made).length >= 50, JSON.stringify(skipped));
    for (const [label, updates] of Object.entries(made)) {
      const path = folder.path(label);
      const { matrices, skipped } = await service.analyze({ path, values: true, engine: 'cpu', cache: false });
      if (updates === null) {
        assert.deepEqual(
          matrices.map(({ name }) => name),
          [],
          `${label} shows no part as a weight`,
        );
        assert.ok(skipped.length > 0, label);
        if (label !== 'LN_TUNING')
          for (const { name, reason } of skipped)
            assert.match(reason, /^it (belongs to|has|changes|is shared)|^its /, `${label} ${name}`);
        continue;
      }
      const found = new Map(matrices.map((matrix) => [matrix.name, matrix]));
      for (const [name, { shape, values }] of Object.entries(updates)) {
        const matrix = found.get(name);
        assert.ok(matrix?.adapter, `${label} has an update for ${name}`);
        assert.deepEqual(matrix.shape, shape, `${label} ${name}`);
        const least = Math.min(...shape);
        const own = [...matrix.singularValues!, ...Array<number>(least - matrix.singularValues!.length).fill(0)];
        checkValues(own, values, { rows: shape[0], cols: shape[1] });
      }
      assert.deepEqual(
        matrices.filter(({ adapter }) => !adapter).map(({ name }) => name),
        label === 'LORA embedding' ? ['base_model.model.model.embed_tokens.base_layer.weight'] : [],
        `${label} shows nothing else`,
      );
      const { layers } = await service.compare({ paths: [path, path] });
      assert.equal(layers.length, Object.keys(updates).length, label);
      for (const { name, updates: both, pairs } of layers) {
        assert.ok(Math.abs(pairs[0]!.cosine! - 1) < 1e-6, `${label} ${name}`);
        const norm = Math.hypot(...updates[name]!.values);
        assert.ok(Math.abs(both[0]!.norm - norm) < 1e-5 * norm, `${label} ${name}`);
      }
    }
  });
});
