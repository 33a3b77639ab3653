import assert from 'node:assert/strict';
import { testFolder } from './folder.ts';
import { python } from './python.ts';
import { readAll, withCheckpoint } from './readAll.ts';
import { rejectsWith } from './rejectsWith.ts';

/** Shape and values of each tensor as torch reads them, dequantized and dense. */
type Reference = Record<string, Record<string, [shape: number[], values: number[]]>>;

const SCRIPT = `
import json, sys, warnings, torch
warnings.simplefilter("ignore")
folder = sys.argv[1]
torch.manual_seed(1)
base = torch.randn(6, 5)
channels = torch.rand(6, dtype=torch.float64) / 10 + 0.01
zeros = torch.tensor([0, 1, -1, 3, 0, 2])
quantized = {
    "int8": torch.quantize_per_tensor(base, 0.05, 3, torch.qint8),
    "uint8": torch.quantize_per_tensor(base, 0.05, 100, torch.quint8),
    "int32": torch.quantize_per_tensor(base, 1e-6, 0, torch.qint32),
    "channels": torch.quantize_per_channel(base, channels, zeros, 0, torch.qint8),
    "columns": torch.quantize_per_channel(base, channels[:5], zeros[:5] + 100, 1, torch.quint8),
    "view": torch.quantize_per_tensor(base, 0.05, 3, torch.qint8).t(),
}
thin = base * (torch.rand(6, 5) < 0.3)
twice = torch.sparse_coo_tensor(torch.tensor([[0, 5, 0], [1, 4, 1]]), torch.tensor([1.0, 2.0, 3.0]), (6, 5))
sparse = {
    "coo": thin.to_sparse(), "csr": thin.to_sparse_csr(), "csc": thin.to_sparse_csc(), "twice": twice,
    "rows": thin.to_sparse(1), "double": thin.double().to_sparse(), "none": torch.zeros(3, 4).to_sparse(),
}
odd = {"w": base, "blocks": torch.randn(4, 4).to_sparse_bsr((2, 2)), "nested": torch.nested.nested_tensor([torch.randn(2, 3), torch.randn(4, 3)])}
reference = {}
def save(name, state, **options):
    torch.save(state, folder + "/" + name, **options)
    dense = lambda v: (v.dequantize() if v.is_quantized else v.to_dense() if v.layout != torch.strided else v).float()
    reference[name] = {k: [list(v.shape), dense(v).flatten().tolist()] for k, v in state.items() if k not in ("blocks", "nested")}
save("quantized.pt", quantized)
save("quantized-legacy.pt", quantized, _use_new_zipfile_serialization=False)
save("sparse.pt", sparse)
save("sparse-legacy.pt", sparse, _use_new_zipfile_serialization=False)
save("odd.pt", odd)
class Parameter(torch.nn.Parameter): pass
parameter = torch.nn.Parameter(base.clone()); parameter.note = "state"
buffer = torch.nn.Buffer(base + 1) if hasattr(torch.nn, "Buffer") else base + 1
save("wrapped.pt", {"state": parameter, "buffer": buffer, "type": base.as_subclass(torch.Tensor)})
class Inner(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(3, 2)); self.register_buffer("seen", torch.tensor(7))
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Inner(); self.layers = torch.nn.ModuleList([Inner(), torch.nn.Linear(2, 2)]); self.plain = torch.ones(2)
net = Net()
torch.save(net, folder + "/whole.pt")
flat = {**dict(net.named_parameters()), **dict(net.named_buffers()), "plain": net.plain}
reference["whole.pt"] = {k: [list(v.shape), v.detach().float().flatten().tolist()] for k, v in flat.items()}
print(json.dumps(reference))`;

describe('PyTorch tensors in special forms', () => {
  const folder = testFolder();

  it('agrees with torch on quantized, sparse and wrapped tensors, and on tensors in pickled modules', async function () {
    const reference = python(this, ['torch'], SCRIPT, folder.path()) as Reference;
    for (const [file, tensors] of Object.entries(reference))
      await withCheckpoint(folder.path(file), async (checkpoint) => {
        const values = await readAll(checkpoint);
        for (const [name, [shape, expected]] of Object.entries(tensors)) {
          assert.deepEqual(checkpoint.tensors.find((tensor) => tensor.name === name)?.shape, shape, `${file} ${name}`);
          assert.deepEqual(values[name], expected, `${file} ${name}`);
        }
        assert.deepEqual(Object.keys(values).sort(), Object.keys(tensors).sort(), file);
      });

    await withCheckpoint(folder.path('quantized.pt'), async (checkpoint) => {
      const int8 = checkpoint.tensors.find(({ name }) => name === 'int8')!;
      assert.equal(int8.dtype, 'F32 (I8)');
      assert.equal(int8.readStored?.(0, new Uint8Array(4)), undefined);
      const noise = await int8.deviation?.(0, 30);
      assert.ok(Math.abs(noise! - 0.05 / Math.sqrt(12)) < 1e-8);
    });
    await withCheckpoint(folder.path('sparse.pt'), async (checkpoint) => {
      const coo = checkpoint.tensors.find(({ name }) => name === 'coo')!;
      const whole = reference['sparse.pt']!.coo![1];
      for (const [start, length] of [
        [0, 1],
        [7, 11],
        [29, 1],
      ] as const) {
        const out = new Float32Array(length).fill(9);
        await coo.read(start, out);
        assert.deepEqual([...out], whole.slice(start, start + length));
      }
    });
    await withCheckpoint(folder.path('odd.pt'), ({ warnings }) => {
      assert.match(warnings.join('\n'), /1 sparse \(bsr\) tensor is left out \(blocks\)/);
      assert.match(warnings.join('\n'), /1 nested tensor is left out \(nested\)/);
    });
  }).timeout(120_000);

  it('lists a sparse tensor of absurd size, but refuses to read it', async function () {
    const script = `
import sys, torch
torch.save({"w": torch.sparse_coo_tensor(torch.tensor([[5], [7]]), torch.tensor([1.0]), (2**30, 2**20))}, sys.argv[1])`;
    python(this, ['torch'], script, folder.path('huge.pt'));
    await withCheckpoint(folder.path('huge.pt'), async (checkpoint) => {
      assert.deepEqual(checkpoint.tensors[0]?.shape, [2 ** 30, 2 ** 20]);
      await rejectsWith(checkpoint.tensors[0]!.read(0, new Float32Array(4)), 'too-large', /dense/);
    });
  }).timeout(60_000);
});
