"""Small random language models, and what generated scripts say of them beside what transformers says.

usage: transformers_scripts.py make FOLDER
       transformers_scripts.py run FOLDER RUN...
`make` saves a model of each kind with token ids. `run` takes JSON objects {kind, script, arguments, out, context} and
`interrupted`, for Ctrl-C just before the result gets its name, or {script} alone to try singular statistics. It runs
each script, and prints for each {error, stderr, perplexity, statistics}: the perplexity by transformers of the windows
that the script should have used, and the largest relative error of R^T R for a script that collects statistics.
"""

import contextlib
import io
import json
import math
import runpy
import sys
import warnings
from pathlib import Path
from unittest import mock

warnings.filterwarnings("ignore")

import torch
import transformers as t
from safetensors import safe_open
from safetensors.torch import load_file, save_file

t.logging.set_verbosity_error()
t.utils.logging.disable_progress_bar()
torch.set_num_threads(1)

command, folder, *runs = sys.argv[1:]
folder = Path(folder)
SMALL = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, vocab_size=60, max_position_embeddings=64,
             pad_token_id=0, bos_token_id=1, eos_token_id=2)
CONFIGS = {
    "llama": t.LlamaConfig(**SMALL, num_key_value_heads=2, intermediate_size=48, tie_word_embeddings=True),
    "gpt2": t.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=60, n_positions=64),
    "falcon": t.FalconConfig(**SMALL),
    "phi": t.PhiConfig(**SMALL, intermediate_size=48),
    "mixtral": t.MixtralConfig(**SMALL, num_key_value_heads=2, intermediate_size=48, num_local_experts=4,
                               num_experts_per_tok=2),
    # Its file has the experts of a layer as one tensor, as the model itself.
    "stacks": t.MixtralConfig(**SMALL, num_key_value_heads=2, intermediate_size=48, num_local_experts=4,
                              num_experts_per_tok=2),
    # A file that stores the head beside the embedding, though they are one.
    "twins": t.LlamaConfig(**SMALL, intermediate_size=48, tie_word_embeddings=True),
    "broken": t.LlamaConfig(**SMALL, intermediate_size=48),
    # A folder whose name would end a string, and be code behind it.
    "llama \"'''\\n\\\n{0} \u202e\u00e9\U0001f600": t.LlamaConfig(**SMALL, intermediate_size=48),
}


def make() -> None:
    for kind, config in CONFIGS.items():
        torch.manual_seed(1)
        model = t.AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0, 0.3)
        if kind == "broken":
            model.model.layers[1].mlp.up_proj.weight.data[0, 0] = float("inf")
        model.save_pretrained(folder / kind, save_original_format=kind != "stacks")
        if kind == "twins":
            file = folder / kind / "model.safetensors"
            state = load_file(file)
            save_file({**state, "lm_head.weight": state["model.embed_tokens.weight"].clone()}, file, {"format": "pt"})
        ids = torch.randint(3, 60, (300,)).tolist()
        (folder / kind / "ids.json").write_text(json.dumps(ids))
    print(json.dumps(list(CONFIGS)))


def singular(script: str) -> dict:
    """The largest relative error of R^T R where X X^T is singular, as by equal inputs and inputs that are zero."""
    parts = runpy.run_path(script, run_name="parts")
    worst = 0.0
    for tokens in (0, 5, 8, 40):
        for spoil in (lambda x: x, lambda x: x * 0, lambda x: x[:, [0, 0, 1, 1, 2, 2, 3, 3]], lambda x: x[:, :1].expand(-1, 8)):
            x = spoil(torch.randn(tokens, 8, dtype=torch.float64))
            group = parts["Group"](parts["Weight"]("w.weight", None, False), 8, open=True)
            for part in x.split(3):
                group.add(part)
            r = group.close()
            if r.shape != (8, 8) or not torch.isfinite(r).all() or not torch.equal(r, r.triu()) or r[tokens:].any():
                return {"error": f"R is {r} for {x}"}
            worst = max(worst, ((r.T @ r - x.T @ x).norm() / max(x.norm() ** 2, 1e-300)).item())
    return {"error": None, "stderr": "", "statistics": worst}


def run(kind: str, script: str, arguments: list[str], out: str, context: int, interrupted: bool = False) -> dict:
    error, stderr = None, io.StringIO()
    sys.argv = [script, *arguments]
    interruption = mock.patch("os.replace", side_effect=KeyboardInterrupt) if interrupted else contextlib.nullcontext()
    try:
        with contextlib.redirect_stderr(stderr), interruption:
            runpy.run_path(script, run_name="__main__")
    except SystemExit as exit:
        error = str(exit)
    answer = {"error": error, "stderr": stderr.getvalue()}
    if error is not None or not (folder / kind / "ids.json").exists():
        return answer
    model = t.AutoModelForCausalLM.from_pretrained(folder / kind, dtype=torch.float32).eval()
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")
    ids = json.loads((folder / kind / "ids.json").read_text())
    windows = torch.tensor(ids[: len(ids) // context * context]).view(-1, context)
    moments = {}

    def see(name):
        def hook(module, inputs, output):
            x = inputs[0].reshape(-1, inputs[0].shape[-1]).double()
            moments[name] = moments.get(name, 0) + x.T @ x

        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D":
            module.register_forward_hook(see(f"{name}.weight"))
    with torch.no_grad():
        losses = [model(row[None], labels=row[None]).loss.item() for row in windows]
    answer["perplexity"] = math.exp(sum(losses) / len(losses))
    if out.endswith(".safetensors"):
        answer |= statistics(out, moments)
    return answer


def statistics(out: str, moments: dict[str, torch.Tensor]) -> dict:
    """Compares all R with the moments of the layers that modules hold."""
    worst, seen, shared = 0.0, [], []
    with safe_open(out, "pt") as file:
        groups = json.loads(file.metadata()["rankscope.groups"])
        for group in groups:
            r = file.get_tensor(f"{group['name']}.R").double()
            if not torch.equal(r, r.triu()):
                return {"statistics": "R is not triangular"}
            shared.append(list(group["matrices"]))
            for name in group["matrices"]:
                seen.append(name)
                if name in moments:
                    worst = max(worst, ((r.T @ r - moments[name]).norm() / moments[name].norm()).item())
    lacking = [name for name in moments if name not in seen and name != "lm_head.weight"]
    return {"statistics": worst, "lacking": lacking, "groups": shared}


if command == "make":
    with contextlib.redirect_stderr(io.StringIO()):
        make()
else:
    asked = [json.loads(each) for each in runs]
    print(json.dumps([run(**each) if "kind" in each else singular(**each) for each in asked]))
