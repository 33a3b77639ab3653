"""Small random language models, what generated scripts make of them, and what transformers says of the result.

usage: compression_scripts.py make FOLDER
       compression_scripts.py run FOLDER RUN...
`make` saves a model of each kind with token ids. `run` takes JSON objects {kind, script, arguments, out, context} and
`interrupted`, for Ctrl-C just before the result gets its name. It runs each script, and prints for each {error, stderr,
perplexity, repeated}: the perplexity by transformers of the written model on the last windows, as many as the report
names. {script} alone tries a block with gradients that are NaN. For {one, other} it prints what differs in two written
files: {names, metadata, products}, the last one as the largest relative difference.
"""

import ast
import collections
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
from safetensors.torch import load_file

t.logging.set_verbosity_error()
t.utils.logging.disable_progress_bar()
torch.set_num_threads(1)

command, *words = sys.argv[1:]
SMALL = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, vocab_size=60, max_position_embeddings=64,
             pad_token_id=0, bos_token_id=1, eos_token_id=2)
GATED = dict(SMALL, num_key_value_heads=2, intermediate_size=48)
GPT = dict(n_embd=32, n_layer=2, n_head=4, vocab_size=60, n_positions=64)
CONFIGS = {
    "llama": t.LlamaConfig(**GATED, tie_word_embeddings=True),
    "gpt2": t.GPT2Config(**GPT),
    "opt": t.OPTConfig(**SMALL, ffn_dim=48, word_embed_proj_dim=32),
    "gemma2": t.Gemma2Config(**GATED, head_dim=8, sliding_window=16),
    "phi3": t.Phi3Config(**GATED),
    "mixtral": t.MixtralConfig(**GATED, num_local_experts=4, num_experts_per_tok=2),
    # Its linear layers have code of their own.
    "falcon": t.FalconConfig(**SMALL),
    "mamba": t.MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=60, state_size=4),
    "t5": t.T5Config(d_model=32, d_kv=8, d_ff=48, num_layers=1, num_heads=4, vocab_size=60),
}


def make(folder: Path) -> None:
    for kind, config in CONFIGS.items():
        torch.manual_seed(1)
        model = t.T5ForConditionalGeneration(config) if kind == "t5" else t.AutoModelForCausalLM.from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0, 0.3)
        model.save_pretrained(folder / kind)
        (folder / kind / "ids.json").write_text(json.dumps(torch.randint(3, 60, (1000,)).tolist()))
    print(json.dumps(list(CONFIGS)))


def run(folder: Path, kind: str, script: str, arguments: list[str], out: str, context: int, interrupted: bool = False):
    error, stderr = None, io.StringIO()
    sys.argv = [script, *arguments]
    interruption = mock.patch("os.replace", side_effect=KeyboardInterrupt) if interrupted else contextlib.nullcontext()
    try:
        with contextlib.redirect_stderr(stderr), interruption:
            runpy.run_path(script, run_name="__main__")
    except SystemExit as exit:
        error = str(exit)
    answer = {"error": error, "stderr": stderr.getvalue(), "repeated": repeated(script)}
    if error is None:
        report = json.loads(Path(out.replace(".safetensors", ".compression.json")).read_text())
        ids = json.loads((folder / kind / "ids.json").read_text())
        windows = torch.tensor(ids[: len(ids) // context * context]).view(-1, context)[-report["unseen"]["windows"] :]
        # By the code of the model alone: the products stand where the matrices were.
        config = t.AutoConfig.from_pretrained(folder / kind)
        cls = type(t.AutoModelForCausalLM.from_config(config))
        model = cls.from_pretrained(None, config=config, state_dict=multiplied(out)[0]).eval()
        with torch.no_grad():
            losses = [model(row[None], labels=row[None]).loss.item() for row in windows]
        answer["perplexity"] = math.exp(sum(losses) / len(losses))
    return answer


def repeated(script: str) -> list[str]:
    """Names that the top level of the script defines twice, as parts that are joined might."""
    names: list[str] = []
    for node in ast.parse(Path(script).read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        names += [each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)]
        names += [node.name] if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else []
    return [name for name, count in collections.Counter(names).items() if count > 1]


def multiplied(path: str) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The dense checkpoint that a written file stands for, and the products alone."""
    state, products = load_file(path), {}
    with safe_open(path, "pt") as file:
        stored = json.loads(file.metadata().get("rankscope.stored", "{}"))
        ties = json.loads(file.metadata().get("rankscope.ties", "{}"))
    for name in [name for name in state if name.endswith(".lowrank_a.weight")]:
        a, b = state.pop(name), state.pop(name.replace("lowrank_a", "lowrank_b"))
        weight = name.replace(".lowrank_a", "")
        products[weight] = b @ a
        state[weight] = (products[weight].T if weight in stored else products[weight]).contiguous()
    state.update({name: state[same] for name, same in ties.items()})
    return state, products


def compare(one: str, other: str) -> dict:
    headers = []
    for path in (one, other):
        with safe_open(path, "pt") as file:
            shapes = {name: [file.get_slice(name).get_dtype(), file.get_slice(name).get_shape()] for name in file.keys()}
            said = {key: json.loads(value) if value[:1] == "{" else value for key, value in file.metadata().items()}
            headers.append((shapes, said))
    (names, metadata), (others, said) = headers
    (_, products), (_, theirs) = multiplied(one), multiplied(other)
    worst = max(((w - theirs[name]).norm() / w.norm()).item() if name in theirs else math.inf for name, w in products.items())
    return {
        "names": [name for name in {**names, **others} if names.get(name) != others.get(name)],
        "metadata": [key for key in {**metadata, **said} if metadata.get(key) != said.get(key)],
        "products": worst,
    }


def not_finite(script: str) -> dict:
    """What a refinement says of a block with gradients that are NaN, and whether it left the block as it was."""
    parts = runpy.run_path(script, run_name="parts")

    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(8, 8)

        def forward(self, hidden_states):
            # The derivative of the square root at 0 is infinite, and that of the product NaN.
            return self.layer(hidden_states) + (self.layer(hidden_states) * 0).sqrt() * 0

    block, x = Block().requires_grad_(False), torch.randn(2, 4, 8)
    parts["become_low_rank"](block.layer, torch.randn(8, 3), torch.randn(3, 8))
    before = {name: value.clone() for name, value in block.state_dict().items()}
    call = parts["Call"](x, (), {}, False)
    report = parts["refine"](block, [], [call], [torch.randn_like(x)], [call], [torch.randn_like(x)], 8, 1e-2)
    same = all(torch.equal(value, before[name]) for name, value in block.state_dict().items())
    return {"error": report["reason"], "stderr": "", "unchanged": same, "refined": report["refined"]}


if command == "make":
    with contextlib.redirect_stderr(io.StringIO()):
        make(Path(words[0]))
else:
    asked = [json.loads(each) for each in words[1:]]
    job = lambda each: run(Path(words[0]), **each) if "kind" in each else compare(**each) if "one" in each else not_finite(**each)
    print(json.dumps([job(each) for each in asked]))
