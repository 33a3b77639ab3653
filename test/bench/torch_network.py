"""The other side of `npm run bench` for a network: PATH WINDOWS THREADS, with the ids of 16,384 tokens in windows.
Prints one line of JSON: the perplexity of the first 2,048 tokens by transformers in f32 with its time, and the time of a
loop over all of them that adds up X X^T of the inputs of each linear layer, those of layers that read the same once. The
model is loaded before."""
import json
import os
import sys
import time

import torch
import transformers

transformers.logging.set_verbosity_error()
path, windows, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
where = dict(pretrained_model_name_or_path=os.path.dirname(path))
if path.endswith(".gguf"):
    where["gguf_file"] = os.path.basename(path)
windows = [torch.tensor([window]) for window in json.load(open(windows))]
model = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()


def timed(work):
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    return dict(seconds=time.perf_counter() - start, cpu=time.process_time() - cpu), result


def perplexity():
    few = windows[: max(1, 2048 // windows[0].numel())]
    losses = [model(window, labels=window).loss for window in few]
    return torch.stack(losses).mean().exp().item()


def statistics():
    sums, last = {}, [None]

    def hook(module, inputs):
        x = inputs[0]
        # Layers that read the same are called one after the other, with the same tensor.
        if x is last[0]:
            return
        last[0] = x
        rows = x.flatten(0, -2)
        sums[module] = rows.T @ rows + sums.get(module, 0)

    head = model.get_output_embeddings()
    layers = [each for each in model.modules() if isinstance(each, torch.nn.Linear) and each is not head]
    handles = [each.register_forward_pre_hook(hook) for each in layers]
    for window in windows:
        last[0] = None
        model.base_model(window)
    for handle in handles:
        handle.remove()


with torch.no_grad():
    model(windows[0][:, :16])
    dense, ppl = timed(perplexity)
    collected, _ = timed(statistics)
versions = dict(torch=torch.__version__, transformers=transformers.__version__)
print(json.dumps(dict(perplexity=ppl, dense=dense, statistics=collected, versions=versions)))
