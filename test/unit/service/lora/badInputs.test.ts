import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { createService } from '../../../../src/service/service.ts';
import { testFolder } from '../../formats/folder.ts';
import { f32File } from '../../formats/safetensorsBytes.ts';

const Q = 'model.layers.0.self_attn.q_proj';
const values = (count: number) => Array.from({ length: count }, (_, i) => Math.sin(i + 1));

describe('adapters and models that do not belong together', function () {
  this.timeout(60_000);
  const folder = testFolder();
  const service = createService({});
  after(() => service.close());
  const device = { engine: 'wasm', threads: 1 };

  interface Kind {
    readonly target?: string;
    readonly m?: number;
    readonly bad?: number;
    readonly cut?: number;
    readonly rank?: number;
  }
  const adapter = (name: string, { target = Q, m = 12, bad, cut = 0, rank = 2 }: Kind = {}) => {
    const up = values(m * rank);
    if (bad !== undefined) up[3] = bad;
    const bytes = f32File({
      [`base_model.model.${target}.lora_A.weight`]: { shape: [rank, 8], values: values(rank * 8) },
      [`base_model.model.${target}.lora_B.weight`]: { shape: [m, rank], values: up },
    });
    folder.write(`${name}/adapter_config.json`, JSON.stringify({ peft_type: 'LORA', r: rank, lora_alpha: rank }));
    folder.write(`${name}/adapter_model.safetensors`, bytes.subarray(0, bytes.length - cut));
    return folder.path(name);
  };
  const model = (name: string, tensors: Record<string, readonly [number, number]>, change = (all: number[]) => all) =>
    folder.write(
      `${name}.safetensors`,
      f32File(
        Object.fromEntries(
          Object.entries(tensors).map(([key, [m, n]]) => [key, { shape: [m, n], values: change(values(m * n)) }]),
        ),
      ),
    );
  const base = () => model('base', { [`${Q}.weight`]: [12, 8] });
  const calls = (path: string, on: string, out: string) => [
    () => service.loraWrite({ kind: 'resize', path, rank: 1, out }),
    () => service.loraWrite({ kind: 'convert', path, names: 'kohya', out }),
    () => service.loraWrite({ kind: 'combine', paths: [path, path], out, ...device }),
    () => service.loraWrite({ kind: 'into', path, base: on, out }),
    () => service.loraWrite({ kind: 'clean', path, base: on, out, ...device }),
  ];

  it('are refused by every command that would read them, which then leaves nothing', async () => {
    const optimizer = model('optimizer', { [`state.${Q}.exp_avg`]: [12, 8], [`state.${Q}.exp_avg_sq`]: [12, 8] });
    const out = folder.path('out.safetensors');
    const unsure = adapter('unsure');
    folder.write('unsure/adapter_config.json', '{"peft_type": "LORA", ');
    for (const [path, pattern] of [
      [unsure, /adapter_config\.json: is no JSON object/],
      [adapter('nan', { bad: Number.NaN }), /q_proj: entry \[1, 1\] of its factor B is NaN/],
      [adapter('infinite', { bad: Number.POSITIVE_INFINITY }), /factor B is Infinity/],
      [adapter('half', { cut: 20 }), /The file is cut off/],
      [optimizer, /it holds no LoRA adapter/],
    ] as const)
      for (const call of calls(path, base(), out)) {
        await assert.rejects(call(), pattern);
        assert.ok(!existsSync(out));
      }
  });

  it('are refused where they meet: other shapes, another architecture, NaN in the base, an adapter as base', async () => {
    const good = adapter('good');
    const out = folder.path('out.safetensors');
    const broken = model('broken', { [`${Q}.weight`]: [12, 8] }, (all) => all.with(9, Number.NaN));
    for (const [path, on, pattern] of [
      [adapter('low', { m: 10 }), base(), /q_proj is 10 x 8, the layer in .* is 12 x 8/],
      [good, model('gpt', { 'h.0.attn.c_attn.weight': [8, 24] }), /has no layer model\.layers\.0\.self_attn\.q_proj/],
      [good, broken, /NaN/],
      [good, good, /has no layer/],
    ] as const)
      for (const call of calls(path, on, out).slice(3)) {
        await assert.rejects(call(), pattern);
        assert.ok(!existsSync(out));
      }
    await assert.rejects(service.loraInit({ path: broken, rank: 2, out, ...device }), /entry \[1, 1\] is NaN/);
  });

  it('are told where a merge is possible, and ranks above what a layer has come down to it', async () => {
    const [good, other] = [adapter('good'), adapter('other', { target: 'h.0.attn.c_attn', m: 24 })];
    const both = await service.loraWrite({
      kind: 'combine',
      paths: [good, other],
      out: folder.path('both'),
      ...device,
    });
    assert.match(both.remarks.join(), /no layer in common/);
    const high = adapter('high', { rank: 20 });
    for (const rank of [64, 9]) {
      const { layers } = await service.loraWrite({
        ...{ kind: 'resize', path: high, rank, overwrite: true, out: folder.path('resized') },
      });
      assert.ok(layers[0]!.rank <= 8, `${layers[0]!.rank}`);
    }
  });

  it('are no models to count or to suggest ranks for where they are the state of an optimizer', async () => {
    const path = model('optimizer', { [`state.${Q}.exp_avg`]: [12, 8], [`state.${Q}.exp_avg_sq`]: [12, 8] });
    const pattern = /state of an optimizer/;
    await assert.rejects(service.loraCount({ path }), pattern);
    await assert.rejects(service.loraSuggest({ path, ...device }), pattern);
    await assert.rejects(service.loraInit({ path, rank: 2, out: folder.path('init'), ...device }), pattern);
  });
});
