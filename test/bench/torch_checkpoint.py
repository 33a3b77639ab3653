"""The torch side of `npm run bench` for a whole checkpoint.

make FOLDER HIDDEN LAYERS      writes a LLaMA-shaped checkpoint of seeded random bf16 weights, one shard per layer
run FOLDER THREADS NAME...     all singular values of every matrix, read one at a time, as one line of JSON
truth FOLDER NAME...           those of the named matrices by LAPACK in float64
weightwatcher FOLDER THREADS   the time of WeightWatcher's analysis of the same matrices, as one line of JSON
"""
import contextlib
import io
import json
import logging
import resource
import sys
import time
from pathlib import Path

import numpy
import torch
from safetensors import safe_open
from safetensors.torch import save_file


def weight(rows, cols):
    """Noise with a few strong directions, as in a trained matrix."""
    strong = torch.randn(rows, 8) * 0.5 ** torch.arange(8)
    return (0.02 * (torch.randn(rows, cols) + 0.3 * strong @ torch.randn(8, cols))).bfloat16()


def make(folder, hidden, layers):
    torch.manual_seed(1)
    inner = hidden * 11 // 4
    shards = []
    for layer in range(layers):
        name = f"model.layers.{layer}."
        shards.append({
            **{f"{name}self_attn.{part}_proj.weight": weight(hidden, hidden) for part in "qkvo"},
            **{f"{name}mlp.{part}_proj.weight": weight(inner, hidden) for part in ("gate", "up")},
            f"{name}mlp.down_proj.weight": weight(hidden, inner),
            f"{name}input_layernorm.weight": torch.ones(hidden, dtype=torch.bfloat16),
        })
    shards.append({"model.embed_tokens.weight": weight(4 * hidden, hidden)})
    places = {}
    for at, tensors in enumerate(shards, 1):
        file = f"model-{at:05}-of-{len(shards):05}.safetensors"
        save_file(tensors, folder / file)
        places.update({name: file for name in tensors})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def matrices(folder):
    places = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    for file in dict.fromkeys(places.values()):
        with safe_open(folder / file, framework="pt") as shard:
            for name in shard.keys():
                if len(shard.get_slice(name).get_shape()) == 2:
                    yield name, shard.get_tensor(name)


def run(folder, threads, names):
    torch.set_num_threads(threads)
    torch.linalg.svdvals(torch.ones(8, 8))
    kept = {}
    start, cpu = time.perf_counter(), time.process_time()
    for name, stored in matrices(folder):
        values = torch.linalg.svdvals(stored.float())
        if name in names:
            kept[name] = values.tolist()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    # In kilobytes, on macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return {"seconds": seconds, "cpu": cpu, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "values": kept}


def truth(folder, names):
    return {
        name: numpy.linalg.svd(stored.double().numpy(), compute_uv=False).tolist()
        for name, stored in matrices(folder)
        if name in names
    }


def weightwatcher(folder, threads):
    import weightwatcher as ww

    torch.set_num_threads(threads)
    logging.getLogger("weightwatcher").setLevel(logging.ERROR)
    start = time.perf_counter()
    model = torch.nn.Module()
    for index, (_, stored) in enumerate(matrices(folder)):
        layer = torch.nn.Linear(stored.shape[1], stored.shape[0], bias=False, device="meta")
        layer.weight = torch.nn.Parameter(stored.float())
        model.add_module(f"matrix{index}", layer)
    with contextlib.redirect_stdout(io.StringIO()):
        details = ww.WeightWatcher(model=model).analyze(plot=False, savefig=False)
    return {"seconds": time.perf_counter() - start, "version": ww.__version__, "matrices": len(details)}


action, folder, *rest = sys.argv[1:]
if action == "make":
    make(Path(folder), int(rest[0]), int(rest[1]))
elif action == "weightwatcher":
    print(json.dumps(weightwatcher(Path(folder), int(rest[0]))))
elif action == "run":
    print(json.dumps(run(Path(folder), int(rest[0]), rest[1:])))
else:
    print(json.dumps(truth(Path(folder), rest)))
