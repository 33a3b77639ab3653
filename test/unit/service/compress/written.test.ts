import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { elementCount } from '../../../../src/base/shape.ts';
import { openCheckpoint } from '../../../../src/checkpoint/open.ts';
import { createService } from '../../../../src/service/service.ts';
import { checkpointPath } from '../../formats/checkpointFiles.ts';
import { testFolder } from '../../formats/folder.ts';
import { python } from '../../formats/python.ts';
import { idsOf, smallRequest } from './smallModel.ts';

/** The perplexity of the windows, by transformers with the loader that was written beside the file. */
const SCRIPT = `
import sys, json, math, torch, transformers
folder, weights = sys.argv[1:3]
sys.path.insert(0, folder)
import small
known = json.load(open(folder + "/model/config.json"))
# JSON has written 3.0 as 3, and transformers wants floats.
for key in known:
    if key.endswith(("softcapping", "noise", "_coef")) and known[key] is not None: known[key] = float(known[key])
config = transformers.AutoConfig.for_model(**known)
model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
small.load_lowrank(model, weights)
ids = torch.tensor(json.load(open(folder + "/unseen.json"))).view(-1, 32)
with torch.no_grad(): logits = model(ids).logits[:, :-1].double()
loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))
print(json.dumps(math.exp(loss.item())))
`;

describe('what a compression writes', function () {
  this.timeout(120_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());

  /** Norms of the written file that differ from those of the model. */
  async function changedNorms(path: string, out: string): Promise<string[]> {
    const [before, after] = [await openCheckpoint(path), await openCheckpoint(out)];
    try {
      const changed: string[] = [];
      for (const tensor of before.tensors.filter(({ shape }) => shape.length === 1)) {
        const other = after.tensors.find(({ name }) => name === tensor.name)!;
        assert.deepEqual([other.dtype, other.shape], [tensor.dtype, tensor.shape]);
        const [one, two] = [tensor, other].map(({ shape }) => new Float32Array(elementCount(shape)));
        await tensor.read(0, one!);
        await other.read(0, two!);
        if (one!.some((value, k) => value !== two![k])) changed.push(tensor.name);
        // Trained norms stay near what they were: an offset that is added or lost would move them by one.
        assert.ok(
          one!.every((value, k) => Math.abs(value - two![k]!) < 0.5),
          tensor.name,
        );
      }
      return changed;
    } finally {
      await Promise.all([before.close(), after.close()]);
    }
  }

  // GPT-2 stores its matrices transposed, Gemma's norms have an offset, and StableLM's heads have norms of their own.
  for (const kind of ['gemma2', 'gpt2', 'stablelm head norms', 'mixtral', 'qwen3_moe stacked'])
    it(`is loaded by transformers with the perplexity that is reported: ${kind}`, async function () {
      const request = { ...smallRequest(folder, kind), steps: 16, rate: 3e-3, code: folder.path('small.py') };
      const { unseen, blocks, out } = await service.compress({ ...request, smokeTest: false });
      const changed = await changedNorms(request.path, out);
      assert.equal(
        blocks.some(({ refined }) => refined),
        changed.length > 0,
      );
      // The windows at the end of the ids, without the remainder.
      const used = Math.floor(2000 / 32) * 32;
      folder.write('unseen.json', JSON.stringify(idsOf(2000).slice(used - 32 * 16, used)));
      const perplexity = python(this, ['torch', 'transformers', 'safetensors'], SCRIPT, folder.path(), out) as number;
      const own = unseen!.compressed.perplexity;
      assert.ok(Math.abs(own / perplexity - 1) < 1e-4, `${own}, by transformers ${perplexity}`);
    });

  it('has Hugging Face names where the source is a quantized GGUF file, and says that it grew', async function () {
    const path = checkpointPath(this, 'stories260K-gguf/stories260K.Q5_1.gguf');
    const ids = folder.write('ids.json', readFileSync(checkpointPath(this, 'stories260K-hf/eval_reference.json')));
    const { eval: texts } = JSON.parse(readFileSync(ids, 'utf8')) as { eval: Record<string, { ids: number[] }> };
    const all = Object.values(texts).flatMap((text) => text.ids.slice(1));
    const given = folder.write('all.json', JSON.stringify(all));
    const out = folder.path('small.safetensors');
    const sizes = { keep: 0.8, context: 64, tokens: 256, steps: 4, smokeTest: false, engine: 'wasm', threads: 2 };
    const { unseen, notes, matrices } = await service.compress({ path, ids: given, out, ...sizes });
    assert.ok(matrices.every(({ name }) => name.startsWith('model.layers.')));
    assert.ok(unseen!.compressed.perplexity < 100 * unseen!.dense.perplexity);
    assert.match(notes.join(' '), /larger than its quantized source/);
  });
});
