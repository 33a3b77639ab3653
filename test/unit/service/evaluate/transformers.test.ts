import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Evaluation } from '../../../../src/model/evaluation.ts';
import { createService } from '../../../../src/service/service.ts';
import { checkpointPath } from '../../formats/checkpointFiles.ts';
import { testFolder } from '../../formats/folder.ts';
import { python } from '../../formats/python.ts';
import { type Case, writeDecoder } from '../../network/decoders.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const MODULES = ['torch', 'transformers', 'safetensors', 'gguf'];

type Numbers = Readonly<Record<string, number>>;

interface Reference {
  readonly dense: Numbers;
  readonly variants: readonly Numbers[];
}

describe('an evaluation beside transformers', function () {
  this.timeout(300_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());

  /** Perplexities to 4 digits; what is small beside them to as many of its own as f32 leaves. */
  function assertAgrees({ dense, variants }: Evaluation, truth: Reference): void {
    const close = (found: number, right: number, name: string, tolerance: number) =>
      assert.ok(Math.abs(found - right) <= tolerance * Math.abs(right) + 1e-6, `${name}: ${found}, not ${right}`);
    close(dense.perplexity, truth.dense.perplexity!, 'dense perplexity', 5e-5);
    close(dense.lossError, truth.dense.lossError!, 'error of the dense loss', 1e-3);
    assert.equal(variants.length, truth.variants.length);
    for (const [k, right] of truth.variants.entries()) {
      const { name, divergence, ...own } = variants[k]!;
      close(own.perplexity, right.perplexity!, `${name} perplexity`, 1e-4);
      for (const key of ['difference', 'differenceError', 'sameTop'] as const)
        close(own[key], right[key]!, `${name} ${key}`, 2e-3);
      for (const key of ['mean', 'median', 'q90', 'q99', 'max'] as const)
        close(divergence[key], right[key]!, `${name} KL ${key}`, 2e-3);
      close(own.predictedError!, right.error!, `${name} error of the weights`, 1e-3);
    }
  }

  interface Given {
    readonly model: string;
    readonly windows: readonly (readonly number[])[];
    readonly ranks: readonly number[];
  }
  const truthOf = (context: Mocha.Context, given: readonly Given[]) =>
    python(context, MODULES, SCRIPT, folder.write('given.json', JSON.stringify(given))) as Reference[];

  it('agrees on small models as they are and with truncated matrices', async function () {
    const ranks = [2, 6, 9];
    const given = ['llama', 'qwen2', 'stablelm parallel'].map((kind) => {
      const known = CASES.find((each) => each.kind === kind)!;
      const path = writeDecoder(folder.path(kind), known);
      const ids = [...known.ids, ...known.ids].reverse();
      return { path, ids, model: dirname(path), windows: [ids.slice(0, 20), ids.slice(20, 40)], ranks };
    });
    const truths = truthOf(this, given);
    for (const [k, { path, ids }] of given.entries()) {
      const file = folder.write('ids.json', JSON.stringify(ids));
      assertAgrees(await service.evaluate({ path, ids: file, context: 20, ranks, threads: 2 }), truths[k]!);
    }
  });

  it('agrees on stories260K, from its text on', async function () {
    const path = checkpointPath(this, 'stories260K-hf/model.safetensors');
    const text = evaluationText(this, path);
    const request = { path, text, context: 256, tokens: 512, ranks: [8, 16, 24], threads: 2 };
    const found = await service.evaluate(request);
    assert.deepEqual([found.text.windows, found.text.scored, found.text.startToken], [2, 510, 1]);
    const reference = JSON.parse(readFileSync(checkpointPath(this, 'stories260K-hf/eval_reference.json'), 'utf8')) as {
      eval: Record<string, { ids: number[]; ppl: number }>;
    };
    for (const { ids, ppl } of Object.values(reference.eval)) {
      const { dense } = await service.evaluate({
        path,
        ids: folder.write('ids.json', JSON.stringify(ids)),
        context: ids.length,
        threads: 2,
      });
      assert.ok(Math.abs(dense.perplexity / ppl - 1) < 1e-5, `${dense.perplexity}, not ${ppl}`);
    }
    // Another file of the same weights.
    const gguf = checkpointPath(this, 'stories260K-gguf/stories260K.F32.gguf');
    const other = await service.evaluate({ ...request, path: gguf });
    for (const k of [0, 1, 2])
      assert.ok(Math.abs(other.variants[k]!.perplexity / found.variants[k]!.perplexity - 1) < 2e-3);
    const encoded = await idsOf(text, path);
    const windows = [0, 1].map((k) => [1, ...encoded.slice(255 * k, 255 * (k + 1))]);
    const [truth] = truthOf(this, [{ model: dirname(path), windows, ranks: [8, 16, 24] }]);
    assertAgrees(found, truth!);
  });

  it('agrees on SmolLM2 in GGUF, from its text on', async function () {
    const path = checkpointPath(this, 'smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf');
    const text = evaluationText(this, path);
    const truth = python(this, MODULES, SMOLLM, path, text) as { readonly ppl: number };
    const { dense, text: facts } = await service.evaluate({ path, text, context: 128, tokens: 256, threads: 2 });
    assert.ok(Math.abs(dense.perplexity / truth.ppl - 1) < 5e-5, `${dense.perplexity}, not ${truth.ppl}`);
    assert.deepEqual([facts.windows, facts.startToken], [2, null]);
  });
});

function evaluationText(context: Mocha.Context, checkpoint: string): string {
  const text = join(dirname(dirname(dirname(checkpoint))), 'text/wikitext2-evaluation.txt');
  if (!existsSync(text)) {
    context.test!.title += ` [skipped: ${text} is missing]`;
    context.skip();
  }
  return text;
}

/** By the tokenizer that other tests compare with its reference. */
async function idsOf(text: string, path: string): Promise<number[]> {
  const { openCheckpoint } = await import('../../../../src/checkpoint/open.ts');
  const { openTokenizer } = await import('../../../../src/network/tokenizer/openTokenizer.ts');
  const checkpoint = await openCheckpoint(path);
  try {
    return [...(await (await openTokenizer(checkpoint)).encode(readFileSync(text, 'utf8').slice(0, 4000)))];
  } finally {
    await checkpoint.close();
  }
}

/** Truncates every matrix of the layers of which the factors would be smaller, and compares with the model as it is. */
const SCRIPT = `
import json, os, sys
import torch, transformers as t
t.logging.set_verbosity_error()
t.logging.disable_progress_bar()
error = lambda x: float(x.std() / len(x) ** 0.5)

def compare(given):
    windows = torch.tensor(given["windows"])
    model = t.AutoModelForCausalLM.from_pretrained(given["model"], dtype=torch.float32, attn_implementation="eager").eval()
    layers = [(n, m) for n, m in model.named_modules() if ".layers." in n and isinstance(m, torch.nn.Linear)]
    dense = {n: m.weight.detach().clone() for n, m in layers}

    def run():
        with torch.no_grad():
            logits = torch.cat([model(w[None]).logits[0, :-1] for w in windows]).double()
        logs = torch.log_softmax(logits, -1)
        return logs, -logs.gather(1, windows[:, 1:].reshape(-1, 1))[:, 0]

    base, losses = run()
    variants = []
    for rank in given["ranks"]:
        lost = whole = 0
        for n, m in layers:
            w = dense[n].double()
            whole += w.numel()
            cut = w
            if rank * sum(w.shape) < w.numel():
                u, s, v = torch.linalg.svd(w, full_matrices=False)
                cut = u[:, :rank] * s[:rank] @ v[:rank]
            lost += float((w - cut).square().sum() / w.square().sum()) * w.numel()
            m.weight.data = cut.float()
        logs, own = run()
        kl = (base.exp() * (base - logs)).sum(-1)
        quantile = lambda q: float(torch.quantile(kl, q))
        variants.append(dict(perplexity=float(own.mean().exp()), difference=float((own - losses).mean()),
            differenceError=error(own - losses), mean=float(kl.mean()), median=quantile(0.5), q90=quantile(0.9),
            q99=quantile(0.99), max=float(kl.max()), error=(lost / whole) ** 0.5,
            sameTop=float((logs.argmax(-1) == base.argmax(-1)).double().mean())))
    return dict(dense=dict(perplexity=float(losses.mean().exp()), lossError=error(losses)), variants=variants)

print(json.dumps([compare(given) for given in json.load(open(sys.argv[1]))]))
`;

const SMOLLM = `
import json, os, sys
import torch, transformers as t
t.logging.set_verbosity_error()
path, text = sys.argv[1:]
where = dict(pretrained_model_name_or_path=os.path.dirname(path), gguf_file=os.path.basename(path))
ids = t.AutoTokenizer.from_pretrained(**where)(open(text, newline="").read()[:4000], add_special_tokens=False).input_ids
model = t.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()
with torch.no_grad():
    losses = [model(w, labels=w).loss for w in (torch.tensor([ids[:128]]), torch.tensor([ids[128:256]]))]
print(json.dumps(dict(ppl=float(torch.stack(losses).mean().exp()))))
`;
