import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { breakEvenRank } from '../../../../src/base/shape.ts';
import { PLAN_DEFAULTS } from '../../../../src/model/plan/planRequest.ts';
import { createService } from '../../../../src/service/service.ts';
import { checkpointPath } from '../../formats/checkpointFiles.ts';
import { testFolder } from '../../formats/folder.ts';
import { python } from '../../formats/python.ts';
import { type Case, writeDecoder } from '../../network/decoders.ts';

const CASES = JSON.parse(readFileSync('test/fixtures/decoders/logits.json', 'utf8')) as Case[];
const MODULES = ['torch', 'transformers', 'safetensors'];

interface Truth {
  readonly energy: number;
  readonly tail: number;
  readonly divergence: number;
}

/**
 * Cuts one linear layer of a model at a time on its inputs, to a tenth of its break-even rank, as the reference does,
 * with second moments and vectors in f64.
 */
const SCRIPT = `
import json, sys
import torch, transformers as t
t.logging.set_verbosity_error()
t.logging.disable_progress_bar()
given = json.load(open(sys.argv[1]))
model = t.AutoModelForCausalLM.from_pretrained(given["model"], dtype=torch.float32).eval()
x = torch.tensor(given["windows"])
layers = {n: l for n, l in model.named_modules() if isinstance(l, torch.nn.Linear) and ".layers." in n}
C, found = {}, {}
def hook(name):
    def add(module, inputs, out):
        rows = inputs[0].reshape(-1, inputs[0].shape[-1]).double()
        C[name] = C.get(name, 0) + rows.T @ rows
    return add
hooks = [l.register_forward_hook(hook(n)) for n, l in layers.items()]
with torch.no_grad():
    logits = lambda x: torch.log_softmax(torch.cat([model(w).logits[:, :-1].float() for w in x.split(8)]), -1)
    p = logits(x)
    for h in hooks: h.remove()
    few = x[: given["tokens"] // x.shape[1]]
    p = logits(few)
    for n, l in layers.items():
        m, k = l.weight.shape
        rank, keep = max(1, int(0.1 * m * k / (m + k))), l.weight.data
        e, Q = torch.linalg.eigh(C[n])
        U, S, _ = torch.linalg.svd(keep.double() @ (Q * e.clamp(min=0).sqrt()), full_matrices=False)
        l.weight.data = (U[:, :rank] @ (U[:, :rank].T @ keep.double())).float()
        q = logits(few)
        l.weight.data = keep
        kl = (p.exp() * (p - q)).sum(-1).mean().item()
        found[n + ".weight"] = {"energy": (S ** 2).sum().item(), "tail": (S[rank:] ** 2).sum().item(), "divergence": kl}
print(json.dumps(found))
`;

describe('divergences beside transformers', function () {
  this.timeout(300_000);
  const folder = testFolder();
  let service: ReturnType<typeof createService>;
  before(() => {
    service = createService({});
  });
  after(() => service.close());

  async function agrees(context: Mocha.Context, path: string, windows: readonly number[][], start: boolean) {
    const contextTokens = windows[0]!.length;
    const given = { model: dirname(path), windows, tokens: 1024 };
    const truth = python(context, MODULES, SCRIPT, folder.write('given.json', JSON.stringify(given))) as Record<
      string,
      Truth
    >;
    const ids = folder.write('ids.json', JSON.stringify(windows.flatMap((each) => (start ? each.slice(1) : each))));
    const { sensitivities, matrices } = await service.plan({
      path,
      request: { ...PLAN_DEFAULTS, budget: { kind: 'keep', value: 0.8 }, spread: 'loss' },
      sources: { text: { ids, context: contextTokens } },
      threads: 2,
    });
    assert.deepEqual(sensitivities!.matrices.map(({ name }) => name).sort(), Object.keys(truth).sort());
    for (const { name, singularValues, rest, divergence } of sensitivities!.matrices) {
      const right = truth[name]!;
      const energy = singularValues.reduce((sum, value) => sum + value ** 2, rest);
      assert.equal(singularValues.length, breakEvenRank(...matrices.find((each) => each.name === name)!.shape));
      assert.ok(Math.abs(energy / right.energy - 1) < 1e-4, `energy of ${name}: ${energy}, not ${right.energy}`);
      const off = Math.abs(divergence!.tail - right.tail);
      // A sketch may lose a little more than the least.
      assert.ok(off <= 0.01 * right.tail + 1e-5 * energy, `tail of ${name}: ${divergence!.tail}, not ${right.tail}`);
      const { value } = divergence!;
      assert.ok(Math.abs(value / right.divergence - 1) < 0.02, `KL of ${name}: ${value}, not ${right.divergence}`);
    }
  }

  it('agree on a small model', async function () {
    const path = writeDecoder(folder.path('model'), CASES.find(({ kind }) => kind === 'llama')!);
    const windows = Array.from({ length: 80 }, (_, k) =>
      Array.from({ length: 16 }, (_v, i) => (k * i + 7 * i + 3) % 40),
    );
    await agrees(this, path, windows, false);
  });

  it('agree on stories260K', async function () {
    const path = checkpointPath(this, 'stories260K-hf/model.safetensors');
    const windows = Array.from({ length: 12 }, (_, k) => [
      1,
      ...Array.from({ length: 127 }, (_v, i) => 3 + ((k * 131 + i * i * 7 + i) % 500)),
    ]);
    await agrees(this, path, windows, true);
  });
});
