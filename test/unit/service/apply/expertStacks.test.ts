import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import { createService } from '../../../../src/service/service.ts';
import { python } from '../../formats/python.ts';
import { scratchFolder } from '../../write/written.ts';

const MODULES = ['torch', 'transformers', 'safetensors'];
const ENGINE = { engine: 'cpu', threads: 1 } as const;

interface Compared {
  /** Largest differences from the dense model that holds B A, relative to its largest logit. */
  readonly file: number;
  readonly folder: number;
  /** After save_pretrained and from_pretrained. */
  readonly again: number;
  /** Matrices that the loader could only hold as products, with the reasons. */
  readonly dense: Readonly<Record<string, string>>;
  readonly parameters: readonly number[];
  /** Tensors that only one of the two folders has. */
  readonly names: readonly string[];
  readonly refusal: string;
}

describe('a plan for a mixture whose experts are one tensor', function () {
  this.timeout(300_000);
  const folder = scratchFolder();
  const service = createService({});
  after(() => service.close());

  it('gives each expert a rank, which the file and the folder have in transformers as well', async function () {
    const script = readFileSync('test/python/expert_stacks.py', 'utf8');
    const stacks = python(this, MODULES, script, 'make', folder) as Record<string, Record<string, readonly number[]>>;
    const kept: Record<string, number> = {};
    for (const [kind, shapes] of Object.entries(stacks)) {
      const path = `${folder}/${kind}`;
      const plan = await service.plan({
        path,
        request: { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.7 } },
        ...ENGINE,
      });
      const cut = plan.matrices.filter(({ rank }) => rank !== null).map(({ name }) => name);
      for (const stack of Object.keys(shapes)) {
        const own = plan.matrices.filter(({ name }) => name.startsWith(`${stack}[`));
        assert.equal(own.length, shapes[stack]![0], stack);
      }
      assert.ok(
        cut.some((name) => /gate_up_proj\[\d\]$/.test(name)) && cut.some((name) => /down_proj\[\d\]$/.test(name)),
      );
      const file = `${folder}/${kind}.safetensors`;
      const common = { path, plan, smokeTest: false, ...ENGINE };
      await service.apply({ ...common, out: file, code: `${folder}/${kind}.py` });
      const request = { ...common, out: `${folder}/${kind}.out`, form: 'folder' } as const;
      const estimate = await service.estimateApply(request);
      await service.apply(request);
      assert.equal(statSync(`${folder}/${kind}.out/model.safetensors`).size, estimate.bytesAfter);
      const { parametersBefore, parametersAfter } = plan.totals;
      kept[kind] = plan.checkpoint.parameters - parametersBefore + parametersAfter;
    }
    const compared = python(this, MODULES, script, 'compare', folder) as Record<string, Compared>;
    assert.deepEqual(Object.keys(compared), Object.keys(stacks));
    for (const [kind, found] of Object.entries(compared)) {
      for (const form of ['file', 'folder', 'again'] as const)
        assert.ok(found[form] <= 1e-5, `${kind} as a ${form} differs by ${found[form]}`);
      assert.deepEqual(found.dense, {}, kind);
      assert.deepEqual(found.parameters, [kept[kind], kept[kind]], kind);
      assert.deepEqual(found.names, [], kind);
      assert.match(found.refusal, /experts\.\w+ is \(4, \d+, \d+\), and config\.json has the ranks of 3 experts/);
    }
  });
});
