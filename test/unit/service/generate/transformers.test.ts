import assert from 'node:assert/strict';
import { createService } from '../../../../src/service/service.ts';
import { checkpointPath } from '../../formats/checkpointFiles.ts';
import { python } from '../../formats/python.ts';

/** What transformers generates greedily, and at each step by how much the first logit exceeds the second. */
const SCRIPT = `
import json, os, sys
import torch, transformers as t
t.logging.set_verbosity_error()
results = []
for path, ids, tokens in json.loads(sys.argv[1]):
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
    results.append(dict(ids=out.sequences[0, len(ids):].tolist(), margins=margins))
print(json.dumps(results))
`;

const MODULES = ['torch', 'transformers', 'gguf'];

/** Both compute in f32: a smaller lead, relative to the largest logit, may be another one's there. */
const TIE = 1e-4;

/** The GGUF file of stories260K lacks what transformers reads; its folder has the same weights. */
const STORIES = 'stories260K-hf/model.safetensors';
const SMOLLM = 'smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf';
const CASES = [
  [STORIES, STORIES, 'Once upon a time', 120],
  ['stories260K-gguf/stories260K.F32.gguf', STORIES, 'The dog and the cat', 40],
  [SMOLLM, SMOLLM, 'The capital of France is', 12],
] as const;

describe('greedy continuations of real models', function () {
  this.timeout(600_000);

  it('of stories260K and SmolLM2 have the tokens of transformers', async function () {
    // Without Python, nothing needs to be generated.
    python(this, MODULES, '');
    const service = createService({});
    try {
      const own = [];
      for (const [file, , prompt, tokens] of CASES)
        own.push(await service.generate({ path: checkpointPath(this, file), prompt, tokens }));
      const asked = own.map(({ prompt: { ids }, tokens }, k) => [checkpointPath(this, CASES[k]![1]), ids, tokens]);
      const known = python(this, MODULES, SCRIPT, JSON.stringify(asked)) as {
        readonly ids: number[];
        readonly margins: number[];
      }[];
      for (const [k, { ids, margins }] of known.entries()) {
        const tie = margins.findIndex((margin) => margin < TIE);
        const compared = tie < 0 ? ids.length : tie;
        assert.ok(compared >= 8, `a tie at token ${tie} of ${CASES[k]![0]}`);
        assert.deepEqual(own[k]!.dense.ids.slice(0, compared), ids.slice(0, compared), CASES[k]![0]);
        if (tie < 0) assert.equal(own[k]!.dense.ids.length, ids.length);
      }
    } finally {
      await service.close();
    }
  });
});
