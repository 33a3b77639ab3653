import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { createService } from '../../../../src/service/service.ts';
import { checkpointPath } from '../../formats/checkpointFiles.ts';
import { python } from '../../formats/python.ts';

/** What transformers generates greedily, and at each step by how much the first logit exceeds the second. */
const SCRIPT = `
import json, os, sys
import torch, transformers as t
t.logging.set_verbosity_error()
path, ids, tokens = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
where = dict(pretrained_model_name_or_path=os.path.dirname(path))
if path.endswith(".gguf"):
    where["gguf_file"] = os.path.basename(path)
model = t.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
with torch.no_grad():
    out = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                         max_new_tokens=tokens, output_logits=True, return_dict_in_generate=True, pad_token_id=0)
margins = []
for logits in out.logits:
    first, second = logits[0].topk(2).values.tolist()
    margins.append((first - second) / logits.abs().max().item())
print(json.dumps(dict(ids=out.sequences[0, len(ids):].tolist(), margins=margins)))
`;

/** Both compute in f32: a smaller lead, relative to the largest logit, may be another one's there. */
const TIE = 1e-4;

describe('greedy continuations of real models', function () {
  this.timeout(300_000);
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());

  for (const [file, prompt, tokens] of [
    ['stories260K-hf/model.safetensors', 'Once upon a time', 120],
    ['stories260K-gguf/stories260K.F32.gguf', 'The dog and the cat', 40],
    ['smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf', 'The capital of France is', 12],
  ] as const)
    it(`of ${file} have the tokens of transformers`, async function () {
      const path = checkpointPath(this, file);
      const own = await service.generate({ path, prompt, tokens });
      // The GGUF files of stories260K lack what transformers reads; its folder has the same weights.
      const source = file.startsWith('stories') ? checkpointPath(this, 'stories260K-hf/model.safetensors') : path;
      const modules = ['torch', 'transformers', 'gguf'];
      const ids = JSON.stringify(own.prompt.ids);
      const reference = python(this, modules, SCRIPT, source, ids, String(tokens)) as {
        readonly ids: number[];
        readonly margins: number[];
      };
      const tie = reference.margins.findIndex((margin) => margin < TIE);
      const compared = tie < 0 ? reference.ids.length : tie;
      assert.ok(compared >= 8, `a tie at token ${tie} of ${dirname(file)}`);
      assert.deepEqual(own.dense.ids.slice(0, compared), reference.ids.slice(0, compared));
      if (tie < 0) assert.equal(own.dense.ids.length, reference.ids.length);
    });
});
