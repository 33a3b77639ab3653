import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { seededRandom } from '../../../../src/base/random.ts';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { f32File } from '../../formats/safetensorsBytes.ts';

const Q = 'model.layers.0.self_attn.q_proj.weight';

describe('results of rankscope lora', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());

  /** A layer and an embedding; `step` moves q by a matrix of rank 1, and adds rows to the embedding. */
  const model = (name: string, step: number) => {
    const random = seededRandom(5);
    const normal = (...shape: number[]) => ({
      shape,
      values: Array.from({ length: shape.reduce((all, size) => all * size) }, () => random.normal()),
    });
    const q = normal(12, 8);
    const embedding = normal(20 + 2 * step, 8);
    for (let at = 0; at < 96; at++) q.values[at]! += (step * (1 + Math.floor(at / 8))) / (1 + (at % 8));
    return folder.write(`${name}.safetensors`, f32File({ [Q]: q, 'model.embed_tokens.weight': embedding }));
  };

  it('match their schemas, whichever command made them', async () => {
    const [base, tuned] = [model('base', 0), model('tuned', 1)];
    const [adapter, device] = [folder.path('adapter'), { engine: 'wasm', threads: 1 }];
    const to = (name: string) => ({ path: adapter, out: folder.path(name) });
    const extraction = await service.loraExtract({ base, tuned, out: adapter, ...device });
    const results: Record<string, readonly unknown[]> = {
      loraCount: [
        await service.loraCount({ path: base, targets: ['q_proj'] }),
        await service.loraCount({ model: 'gpt2' }),
      ],
      loraSuggestion: [await service.loraSuggest({ path: base, rank: 2, ...device })],
      extraction: [extraction, await service.loraExtract({ base, tuned, ...device })],
      initialization: [await service.loraInit({ path: base, rank: 2, out: folder.path('init'), ...device })],
      loraWritten: [
        await service.loraWrite({ kind: 'resize', rank: 1, ...to('resized') }),
        await service.loraWrite({ kind: 'combine', paths: [adapter, adapter], out: folder.path('both'), ...device }),
        await service.loraWrite({ kind: 'into', base, ...to('merged.safetensors') }),
        await service.loraWrite({ kind: 'convert', names: 'diffusers', ...to('converted.safetensors') }),
        await service.loraWrite({ kind: 'clean', base, ...to('cleaned'), ...device }),
      ],
    };
    for (const [name, found] of Object.entries(results)) {
      const schema = JSON.parse(readFileSync(`media/schemas/${name}.schema.json`, 'utf8')) as { $id: string };
      const validate = new Ajv({ allErrors: true, strict: false }).compile(schema);
      for (const result of found) {
        assert.ok(validate(JSON.parse(JSON.stringify(result))), `${name}: ${JSON.stringify(validate.errors)}`);
        assert.equal((result as { format: string }).format, schema.$id);
        assert.equal(validate({ ...(result as object), further: 1 }), false);
      }
    }
    assert.equal(extraction.others.find(({ name }) => name.includes('embed_tokens'))?.newRows, 2);
  });
});
