"""Logits of small decoder models by transformers in float32, of every kind that src/network/ computes, as JSON.

Usage: decoders.py SEED [KIND...]. Each kind has its config.json, the names and shapes of its tensors, token ids and
logits. The weights follow from the seed by `values`, which test/unit/network/decoders.ts computes as well, so that no
weights need to be kept. `decoders.py 1` made test/fixtures/decoders/logits.json.
"""

import contextlib
import io
import json
import sys
import tempfile
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import numpy as np
import torch
import transformers as t
from safetensors import safe_open
from safetensors.numpy import save_file

t.logging.set_verbosity_error()
t.logging.disable_progress_bar()

SMALL = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, vocab_size=40,
             max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2)
GROUPED = dict(SMALL, num_key_value_heads=2)


def rope(**scaling):
    return dict(rope_parameters=dict(rope_theta=10000.0, **scaling))


LONG = dict(short_factor=[1.0, 1.5, 2.0, 2.5], long_factor=[2.0, 3.0, 4.0, 5.0], original_max_position_embeddings=32)
KINDS = {
    "llama": t.LlamaConfig(**GROUPED, tie_word_embeddings=True),
    "llama biases, head size": t.LlamaConfig(**GROUPED, head_dim=12, attention_bias=True, mlp_bias=True),
    "llama linear": t.LlamaConfig(**GROUPED, **rope(rope_type="linear", factor=4.0)),
    "llama dynamic": t.LlamaConfig(**{**GROUPED, "max_position_embeddings": 16}, **rope(rope_type="dynamic", factor=2.0)),
    "llama 3": t.LlamaConfig(**GROUPED, **rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                               high_freq_factor=4.0, original_max_position_embeddings=32)),
    "llama yarn": t.LlamaConfig(**GROUPED, **rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)),
    "mistral": t.MistralConfig(**GROUPED, sliding_window=7),
    "qwen2": t.Qwen2Config(**GROUPED, use_sliding_window=True, sliding_window=5, max_window_layers=1),
    "qwen3": t.Qwen3Config(**GROUPED, head_dim=16),
    "gemma": t.GemmaConfig(**{**GROUPED, "num_key_value_heads": 1}, head_dim=16),
    "gemma2": t.Gemma2Config(**GROUPED, head_dim=16, sliding_window=6, query_pre_attn_scalar=24,
                             attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
    "gemma3": t.Gemma3TextConfig(**{**GROUPED, "num_hidden_layers": 3}, head_dim=16, sliding_window=6,
                                 layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                 rope_parameters=dict(full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6),
                                                      sliding_attention=dict(rope_type="default", rope_theta=1e4))),
    "phi3": t.Phi3Config(**GROUPED, sliding_window=9),
    "phi3 short": t.Phi3Config(**GROUPED, original_max_position_embeddings=32, **rope(rope_type="longrope", **LONG)),
    "phi3 long": t.Phi3Config(**GROUPED, original_max_position_embeddings=8,
                              **rope(rope_type="longrope", **{**LONG, "original_max_position_embeddings": 8})),
    "smollm3": t.SmolLM3Config(**{**GROUPED, "num_hidden_layers": 4}),
    "olmo2": t.Olmo2Config(**GROUPED),
    "granite": t.GraniteConfig(**GROUPED, embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.5,
                               attention_multiplier=0.2),
    "stablelm": t.StableLmConfig(**GROUPED, use_qkv_bias=True),
    "stablelm head norms": t.StableLmConfig(**GROUPED, qk_layernorm=True),
    "stablelm parallel": t.StableLmConfig(**GROUPED, use_parallel_residual=True, partial_rotary_factor=0.5),
    "gpt2": t.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=64, vocab_size=40, bos_token_id=1, eos_token_id=2),
    "gpt_neox": t.GPTNeoXConfig(**SMALL),
    "gpt_neox sequential": t.GPTNeoXConfig(**SMALL, use_parallel_residual=False),
    "opt": t.OPTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48, vocab_size=40,
                       max_position_embeddings=64, word_embed_proj_dim=32),
    "opt 350m": t.OPTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=48, vocab_size=40,
                            max_position_embeddings=64, word_embed_proj_dim=20, do_layer_norm_before=False),
    "mixtral": t.MixtralConfig(**GROUPED, num_local_experts=4, num_experts_per_tok=2),
    "qwen2_moe": t.Qwen2MoeConfig(**GROUPED, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=24,
                                  shared_expert_intermediate_size=20, mlp_only_layers=[0]),
    "qwen3_moe": t.Qwen3MoeConfig(**GROUPED, head_dim=16, num_experts=4, num_experts_per_tok=2,
                                  moe_intermediate_size=24, norm_topk_prob=True),
    "qwen3_moe sliding": t.Qwen3MoeConfig(**GROUPED, head_dim=16, num_experts=4, num_experts_per_tok=2,
                                          moe_intermediate_size=24, use_sliding_window=True, sliding_window=5,
                                          max_window_layers=1),
    "gemma3 cap": t.Gemma3TextConfig(**GROUPED, head_dim=16, sliding_window=6, attn_logit_softcapping=2.0,
                                     final_logit_softcapping=3.0),
}
# Saved with the experts of a layer as one tensor, as the model has them in memory.
KINDS |= {f"{kind} stacked": KINDS[kind] for kind in ("mixtral", "qwen2_moe", "qwen3_moe")}
LENGTH = 20


def values(seed, name, shape):
    """Uniform in [-1, 1) by a hash of the seed, the name and the index, scaled; the weights of norms are near one."""
    mask = np.uint64(0xFFFFFFFF)
    start = seed
    for byte in name.encode():
        start = (start * 31 + byte) & 0xFFFFFFFF
    h = (np.arange(int(np.prod(shape)), dtype=np.uint64) * np.uint64(2654435761) + np.uint64(start)) & mask
    for shift, factor in ((16, 2246822507), (13, 3266489909)):
        h ^= h >> np.uint64(shift)
        h = (h * np.uint64(factor)) & mask
    h ^= h >> np.uint64(16)
    uniform = h.astype(np.float64) / 2**31 - 1
    if len(shape) == 1:
        uniform = 0.25 * uniform + (1 if name.endswith(".weight") else 0)
    else:
        uniform *= 2.5 / np.sqrt(shape[1])
    return uniform.astype(np.float32).reshape(shape)


def logits_of(kind, config, seed):
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        form = {"save_original_format": False} if kind.endswith("stacked") else {}
        t.AutoModelForCausalLM.from_config(config).save_pretrained(folder, **form)
        file = Path(folder, "model.safetensors")
        with safe_open(file, "np") as stored:
            shapes = {name: list(stored.get_slice(name).get_shape()) for name in stored.keys()}
        save_file({name: values(seed, name, shape) for name, shape in shapes.items()}, file, {"format": "pt"})
        model = t.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        ids = [(7 * i * i + 3 * i + seed) % config.vocab_size for i in range(LENGTH)]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        rows = [0, LENGTH // 2, LENGTH - 1]
        return dict(kind=kind, config=json.loads(Path(folder, "config.json").read_text()), tensors=shapes, ids=ids,
                    rows=rows, logits=[[float(f"{x:.7g}") for x in logits[row].tolist()] for row in rows])


if __name__ == "__main__":
    seed, wanted = int(sys.argv[1]), sys.argv[2:] or list(KINDS)
    print("[" + ",\n".join(json.dumps(dict(seed=seed, **logits_of(kind, KINDS[kind], seed)), separators=(",", ":"))
                           for kind in wanted) + "]")
