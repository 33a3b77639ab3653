"""Small GGUF files of random values, written by gguf-py, beside what transformers' models of the same architecture have.

usage: make_gguf.py FOLDER
Writes NAME.gguf and NAME.safetensors for each architecture: the safetensors hold the model as Hugging Face's code has it, the GGUF what
llama.cpp's converter makes of it (names from gguf-py's own table; rows and values rearranged as convert_hf_to_gguf.py documents).
Prints {"NAME": ["names that gguf-py does not know"]}.
"""

import json
import sys
from pathlib import Path

import gguf
import torch
import transformers
from safetensors.torch import save_file

SMALL = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, vocab_size=40)
GROUPED = dict(SMALL, num_key_value_heads=2)
EXPERTS = dict(GROUPED, num_experts=3, num_experts_per_tok=2, moe_intermediate_size=16)

PAIRED = {"llama", "mistral3", "granite", "smollm3", "arcee", "olmo", "mixtral"}
PLUS_ONE = {"gemma", "gemma2", "gemma3", "nemotron"}
FUSED = {"gptneox", "bloom", "falcon", "falcon40b"}
MODELS = {
    "llama": ("LlamaForCausalLM", dict(GROUPED, attention_bias=True, tie_word_embeddings=False)),
    "mixtral": ("MixtralForCausalLM", dict(GROUPED, num_local_experts=3)),
    "granite": ("GraniteForCausalLM", GROUPED),
    "smollm3": ("SmolLM3ForCausalLM", dict(GROUPED, pad_token_id=0)),
    "arcee": ("ArceeForCausalLM", GROUPED),
    "olmo": ("OlmoForCausalLM", GROUPED),
    "qwen2": ("Qwen2ForCausalLM", GROUPED),
    "qwen3": ("Qwen3ForCausalLM", GROUPED),
    "qwen2moe": ("Qwen2MoeForCausalLM", dict(EXPERTS, shared_expert_intermediate_size=24)),
    "qwen3moe": ("Qwen3MoeForCausalLM", EXPERTS),
    "olmoe": ("OlmoeForCausalLM", dict(GROUPED, num_experts=3, num_experts_per_tok=2)),
    "olmo2": ("Olmo2ForCausalLM", GROUPED),
    "command-r": ("CohereForCausalLM", dict(GROUPED, use_qk_norm=True)),
    "cohere2": ("Cohere2ForCausalLM", GROUPED),
    "stablelm": ("StableLmForCausalLM", dict(GROUPED, use_qkv_bias=True)),
    "gemma": ("GemmaForCausalLM", dict(GROUPED, head_dim=8)),
    "gemma2": ("Gemma2ForCausalLM", dict(GROUPED, head_dim=8)),
    "gemma3": ("Gemma3ForCausalLM", dict(GROUPED, head_dim=8)),
    "nemotron": ("NemotronForCausalLM", GROUPED),
    "phi3": ("Phi3ForCausalLM", dict(GROUPED, pad_token_id=0)),
    "glm4": ("Glm4ForCausalLM", dict(GROUPED, head_dim=8, attention_bias=True, pad_token_id=0)),
    "ernie4_5": ("Ernie4_5ForCausalLM", GROUPED),
    "seed_oss": ("SeedOssForCausalLM", dict(GROUPED, head_dim=8)),
    "exaone4": ("Exaone4ForCausalLM", GROUPED),
    "starcoder2": ("Starcoder2ForCausalLM", GROUPED),
    "phi2": ("PhiForCausalLM", GROUPED),
    "gpt2": ("GPT2LMHeadModel", dict(n_embd=32, n_layer=2, n_head=4, vocab_size=40, n_positions=16)),
    "starcoder": ("GPTBigCodeForCausalLM", dict(n_embd=32, n_layer=2, n_head=4, vocab_size=40, n_positions=16)),
    "mpt": ("MptForCausalLM", dict(d_model=32, n_layers=2, n_heads=4, vocab_size=40)),
    "gptneox": ("GPTNeoXForCausalLM", SMALL),
    "bloom": ("BloomForCausalLM", dict(hidden_size=32, n_layer=2, n_head=4, vocab_size=40)),
    "falcon": ("FalconForCausalLM", dict(SMALL, num_kv_heads=1, multi_query=True, new_decoder_architecture=False)),
    "falcon40b": (
        "FalconForCausalLM",
        dict(SMALL, num_kv_heads=2, num_key_value_heads=2, new_decoder_architecture=True),
    ),
    "bert": ("BertModel", SMALL),
}
ARCHITECTURE = {"mixtral": "llama", "falcon40b": "falcon"}
HEADS = 4


def paired(weights: torch.Tensor, heads: int) -> torch.Tensor:
    """LlamaModel.permute of the converter."""
    return weights.reshape(heads, 2, -1, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def by_part(weights: torch.Tensor, keys: int) -> torch.Tensor:
    """All queries, all keys, all values, from groups of some queries, a key and a value (FalconModel of the converter)."""
    groups = weights.reshape(keys, HEADS // keys + 2, -1, *weights.shape[1:])
    parts = groups[:, :-2], groups[:, -2:-1], groups[:, -1:]
    return torch.cat([part.reshape(-1, *weights.shape[1:]) for part in parts])


def published(state: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """As published checkpoints have it: transformers stacks experts in memory, and has a word of its own for GPT-NeoX's head."""
    out = {}
    if name == "gptneox":
        state["embed_out.weight"] = state.pop("lm_head.weight")
    for key, value in state.items():
        if key.endswith("experts.gate_up_proj"):
            for i, expert in enumerate(value):
                gate, up = expert.chunk(2)
                out[key.replace("gate_up_proj", f"{i}.gate_proj.weight")] = gate
                out[key.replace("gate_up_proj", f"{i}.up_proj.weight")] = up
        elif key.endswith("experts.down_proj"):
            for i, expert in enumerate(value):
                out[key.replace("down_proj", f"{i}.down_proj.weight")] = expert
        else:
            out[key] = value
    if name == "mixtral":
        words = {"gate_proj": "w1", "down_proj": "w2", "up_proj": "w3"}
        for key in list(out):
            new = key.replace(".mlp.", ".block_sparse_moe.")
            for word, short in words.items():
                new = new.replace(word, short)
            out[new] = out.pop(key)
    return out


def convert(name: str, state: dict[str, torch.Tensor], keys: int) -> tuple[dict[str, torch.Tensor], list[str]]:
    architecture = ARCHITECTURE.get(name, name)
    arch = next(arch for arch, word in gguf.MODEL_ARCH_NAMES.items() if word == architecture)
    table = gguf.get_tensor_name_map(arch, 2)
    out: dict[str, torch.Tensor] = {}
    stacks: dict[str, dict[int, torch.Tensor]] = {}
    unknown = []
    for key, value in state.items():
        parts = key.split(".")
        if "experts" in parts:
            at = parts.index("experts") + 1
            stack = table.get_name(".".join(parts[:at] + parts[at + 1 :]), try_suffixes=(".weight",))
            stacks.setdefault(stack or key, {})[int(parts[at])] = value
            continue
        # BLOOM's converter leaves the wrapper out before it looks a name up.
        spellings = [key, key.removeprefix("transformer.")]
        own = next(filter(None, (table.get_name(each, try_suffixes=(".weight", ".bias")) for each in spellings)), None)
        if own is None:
            unknown.append(key)
            continue
        if name in PAIRED and ".attn_q." in own:
            value = paired(value, HEADS)
        if name in PAIRED and ".attn_k." in own:
            value = paired(value, keys)
        if name in FUSED and ".attn_qkv." in own:
            value = by_part(value, keys)
        if name == "gpt2" and value.dim() == 2 and key.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            value = value.T
        if name in PLUS_ONE and own.endswith("norm.weight"):
            value = value + 1
        out[own] = value
    for stack, experts in stacks.items():
        out[stack] = torch.stack([experts[i] for i in sorted(experts)])
    return out, unknown


def write(folder: Path, name: str) -> list[str]:
    kind, options = MODELS[name]
    torch.manual_seed(len(name))
    model_class = getattr(transformers, kind)
    model = model_class(model_class.config_class(**options))
    with torch.no_grad():
        # Twice a whole number: that plus one, and back, loses nothing in f32.
        for parameter in model.parameters():
            parameter.copy_(torch.randint(-64, 64, parameter.shape) / 32)
    tied = {"lm_head.weight"} if model.config.get_text_config().tie_word_embeddings else set()
    keep = [key for key, _ in model.named_parameters()]
    state = {key: value.detach() for key, value in model.state_dict().items() if key in keep and key not in tied}
    state = published(state, name)
    keys = 1 if name == "falcon" else options.get("num_key_value_heads", HEADS)
    own, unknown = convert(name, state, keys)
    save_file(
        {key: value.contiguous() for key, value in state.items() if key not in unknown},
        folder / f"{name}.safetensors",
    )
    architecture = ARCHITECTURE.get(name, name)
    writer = gguf.GGUFWriter(str(folder / f"{name}.gguf"), architecture)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(keys)
    for key, value in own.items():
        writer.add_tensor(key, value.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return unknown


folder = Path(sys.argv[1])
print(json.dumps({name: write(folder, name) for name in MODELS}))
