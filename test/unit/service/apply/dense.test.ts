import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import { createService } from '../../../../src/service/service.ts';
import { checkpointPath } from '../../formats/checkpointFiles.ts';
import { testFolder } from '../../formats/folder.ts';
import { python } from '../../formats/python.ts';
import { readAll, withCheckpoint } from '../../formats/readAll.ts';
import { smallModel } from './smallModel.ts';

const ENGINE = { engine: 'cpu', threads: 1 } as const;

describe('a plan applied as dense weights', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());

  async function applied(path: string, out: string, form: 'file' | 'folder' = 'file') {
    const request = { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.6 } } as const;
    const plan = await service.plan({ path, request, ...ENGINE });
    const asked = { path, plan, out: folder.path(out), form, dense: true, smokeTest: false, ...ENGINE };
    const estimate = await service.estimateApply(asked);
    return { estimate, report: await service.apply(asked) };
  }

  it('has the names and shapes of the source, and the error that each rank must leave', async () => {
    const source = smallModel(folder.path('source'));
    const { estimate, report } = await applied(source, 'dense.safetensors');
    assert.equal(estimate.bytesAfter, statSync(report.out).size);
    assert.ok(report.matrices.length > 5);
    const before = await withCheckpoint(source, readAll);
    const after = await withCheckpoint(report.out, readAll);
    assert.deepEqual(Object.keys(after).sort(), Object.keys(before).sort());
    const errors = new Map(report.matrices.map((matrix) => [matrix.name, matrix]));
    for (const [name, values] of Object.entries(before)) {
      const found = after[name]!;
      const matrix = errors.get(name);
      if (!matrix) {
        assert.deepEqual(found, values, name);
        continue;
      }
      const lost = values.reduce((sum, value, at) => sum + (value - found[at]!) ** 2, 0);
      const error = Math.sqrt(lost / values.reduce((sum, value) => sum + value ** 2, 0));
      assert.ok(Math.abs(error - matrix.measuredError) < 1e-6, name);
      assert.ok(Math.abs(error - matrix.predictedError) < 1e-5, name);
    }
  });

  it('as a folder keeps the configuration of the source but for its types', async () => {
    const source = smallModel(folder.path('source'));
    const { report } = await applied(source, 'dense', 'folder');
    const read = (path: string) => JSON.parse(readFileSync(join(path, 'config.json'), 'utf8')) as unknown;
    assert.deepEqual(read(report.out), read(source));
    assert.deepEqual(report.folder!.shards, ['model.safetensors']);
  });

  it('writes GGUF from GGUF: W in F16, all else byte for byte, as the reader of llama.cpp finds it', async function () {
    const source = checkpointPath(this, 'stories260K-gguf/stories260K.Q4_0.gguf');
    const { estimate, report } = await applied(source, 'dense.gguf');
    assert.equal(estimate.bytesAfter, statSync(report.out).size);
    const names = report.matrices.map(({ name }) => name);
    const before = await withCheckpoint(source, readAll);
    const after = await withCheckpoint(report.out, readAll);
    for (const [name, values] of Object.entries(before)) {
      const lost = values.reduce((sum, value, at) => sum + (value - after[name]![at]!) ** 2, 0);
      const error = Math.sqrt(lost / values.reduce((sum, value) => sum + value ** 2, 0));
      const matrix = report.matrices.find((each) => each.name === name);
      // F16 has 11 bits.
      assert.ok(Math.abs(error - (matrix?.predictedError ?? 0)) <= (matrix ? 2 ** -11 : 0), `${name} ${error}`);
    }
    const script = `
import json, sys, numpy as np
from gguf import GGUFReader
a, b = GGUFReader(sys.argv[1]), GGUFReader(sys.argv[2])
same = [x.name for x, y in zip(a.tensors, b.tensors) if x.tensor_type == y.tensor_type and np.array_equal(x.data, y.data)]
half = [y.name for y in b.tensors if y.tensor_type.name == "F16"]
fields = [bytes(np.concatenate([np.asarray(p).view(np.uint8).ravel() for p in f.parts])) for r in (a, b) for f in list(r.fields.values())[3:]]
print(json.dumps({"same": same, "half": half, "fields": fields[: len(fields) // 2] == fields[len(fields) // 2 :]}))`;
    const found = python(this, ['gguf', 'numpy'], script, source, report.out) as Record<string, unknown>;
    assert.ok(names.every((name) => (found.half as string[]).includes(name)));
    assert.deepEqual(
      found.same,
      Object.keys(before).filter((name) => !names.includes(name)),
    );
    assert.equal(found.fields, true);
  });

  it('refuses factors as GGUF, which has no low-rank layers, and says what can be written', async function () {
    const path = checkpointPath(this, 'stories260K-gguf/stories260K.Q4_0.gguf');
    const request = { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.6 } } as const;
    const plan = await service.plan({ path, request, ...ENGINE });
    await assert.rejects(
      service.apply({ path, plan, out: folder.path('factors.gguf'), ...ENGINE }),
      /GGUF has no low-rank layers.*Write the truncated matrices themselves \(dense\)/,
    );
  });
});
