import assert from 'node:assert/strict';
import { checkpointPath } from './checkpointFiles.ts';
import { python } from './python.ts';
import { readAll, withCheckpoint } from './readAll.ts';

const FILES = [
  'stories260K-hf/pytorch_model.bin',
  'stories260K-hf/pytorch_model_tied.bin',
  'stories260K-hf/legacy_nested_nonzip.pth',
  'llama2xs-ckpt/ckpt.pt',
  'lora-cloneofsimo/lora_illust.pt',
  'mtcnn-facenet-pytorch/onet.pt',
  'mtcnn-facenet-pytorch/onet_20190528_axes-permuted.pt',
  'mtcnn-facenet-pytorch/pnet.pt',
  'mtcnn-facenet-pytorch/rnet.pt',
  'silero-vad/silero_vad.jit',
];

/** The shape, type and every 61st value of each tensor, as torch reads them. */
const SCRIPT = `
import json, sys, torch
def tensors(value):
    if isinstance(value, list): return {str(i): v for i, v in enumerate(value)}
    for key in ("state_dict", "model"):
        if key in value and isinstance(value[key], dict): return value[key]
    return value
def sampled(path):
    if path.endswith(".jit"):
        module = torch.jit.load(path, map_location="cpu")
        found = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        # Silero's attributes, neither parameters nor buffers.
        found.update({name: getattr(module, name) for name in ("_state", "_context")})
    else: found = tensors(torch.load(path, map_location="cpu", weights_only=False))
    return {k: [list(v.shape), str(v.dtype), v.detach().to(torch.float32).flatten()[::61].tolist()] for k, v in found.items()}
print(json.dumps([sampled(path) for path in sys.argv[1:]]))`;

const DTYPES: Record<string, string> = { 'torch.float32': 'F32', 'torch.int64': 'I64', 'torch.float16': 'F16' };

describe('real PyTorch files', () => {
  it('agrees with torch on names, shapes, types and values of real files', async function () {
    const paths = FILES.map((name) => checkpointPath(this, name));
    const reference = python(this, ['torch'], SCRIPT, ...paths) as Record<string, [number[], string, number[]]>[];
    for (const [i, path] of paths.entries())
      await withCheckpoint(path, async (checkpoint) => {
        const values = await readAll(checkpoint);
        for (const [name, [shape, dtype, sampled]] of Object.entries(reference[i]!)) {
          const tensor = checkpoint.tensors.find((each) => each.name === name);
          assert.deepEqual([tensor?.shape, tensor?.dtype], [shape, DTYPES[dtype]], `${path} ${name}`);
          const ours = values[name]!.filter((_, at) => at % 61 === 0);
          assert.deepEqual(ours, sampled, `${path} ${name}`);
        }
        // A TorchScript archive contains constants beside the module's own tensors.
        const more = checkpoint.tensors.map(({ name }) => name).filter((name) => !(name in reference[i]!));
        assert.deepEqual(
          more.filter((name) => !path.endsWith('.jit') || !/^constants\./.test(name)),
          [],
          path,
        );
        assert.deepEqual(checkpoint.security, [], path);
      });
  }).timeout(120_000);

  it('gives the tied matrices of stories260K the same storage', async function () {
    await withCheckpoint(checkpointPath(this, 'stories260K-hf/pytorch_model_tied.bin'), ({ tensors }) => {
      const storage = (name: string) => tensors.find((tensor) => tensor.name === name)?.storage;
      assert.equal(storage('lm_head.weight'), storage('model.embed_tokens.weight'));
    });
  });
});
