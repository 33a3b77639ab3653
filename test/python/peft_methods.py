"""
Saves a small adapter of every method of the installed PEFT below a folder, and prints what PEFT says it adds: for each
method, the matrices [out, in] of `get_delta_weight` as their shapes and singular values in float64; null for a method
whose update depends on the base, the input or the task. A method that cannot be made here is left out, with the reason.
"""

import dataclasses
import json
import os
import sys
import warnings

import numpy as np
import torch

warnings.filterwarnings("ignore")
from peft import get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from transformers import GptOssConfig, GptOssForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

out = sys.argv[1]
PROMPT = {"num_virtual_tokens": 4, "task_type": "CAUSAL_LM"}
TARGETS = ["q_proj", "v_proj", "down_proj"]
OPTIONS = {
    "FOURIERFT": {"n_frequency": 20},
    "WAVEFT": {"n_frequency": 20},
    "C3A": {"block_size": 8, "target_modules": ["q_proj", "v_proj"]},
    "VBLORA": {"num_vectors": 8, "vector_length": 16, "r": 3, "topk": 2},
    "OFT": {"oft_block_size": 4, "r": 0},
    "BOFT": {"boft_block_size": 4},
    "ADALORA": {"total_step": 10},
    "PROMPT_TUNING": PROMPT,
    "PREFIX_TUNING": PROMPT,
    "CARTRIDGE": PROMPT,
    "P_TUNING": {**PROMPT, "encoder_hidden_size": 16},
    "MULTITASK_PROMPT_TUNING": {**PROMPT, "num_tasks": 2},
    "CPT": {"cpt_token_ids": [1, 2, 3], "cpt_mask": [1] * 3, "cpt_tokens_type_mask": [1, 2, 3], "task_type": "CAUSAL_LM"},
    "TRAINABLE_TOKENS": {"token_indices": [1, 2], "target_modules": ["embed_tokens"]},
    "LN_TUNING": {"target_modules": ["input_layernorm"]},
    "IA3": {"target_modules": ["q_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
    "POLY": {"r": 2, "n_tasks": 2, "n_skills": 2},
    "ADAPTION_PROMPT": {"adapter_len": 4, "adapter_layers": 1, "task_type": "CAUSAL_LM"},
    "SHIRA": {"r": 8},
    "VERA": {"target_modules": ["q_proj", "v_proj"]},
    "PVERA": {"target_modules": ["q_proj", "v_proj"]},
    "UNILORA": {"save_indices": True},
    "TINYLORA": {"weight_tying": 1.0},
    "GRALORA": {"hybrid_r": 2, "alpha": 12},
    "SUPERTUNING": {"r": 4, "lora_alpha": 6},
    "ROAD": {"group_size": 16},
}
# More settings of a method, each under a name of its own.
VARIANTS = {
    "VBLORA topk": ("VBLORA", {**OPTIONS["VBLORA"], "save_only_topk_weights": True}),
    "LORA rslora": ("LORA", {"use_rslora": True, "lora_alpha": 3, "rank_pattern": {"v_proj": 2}}),
    "LORA pattern": ("LORA", {"alpha_pattern": {r"model\.layers\.(?!0)\d+\.self_attn\.(?P<n>q|k)_proj": 64}}),
    "LORA embedding": ("LORA", {"target_modules": ["embed_tokens", "o_proj"], "lora_alpha": 5}),
    "LORA dora": ("LORA", {"use_dora": True}),
    "LORA bias": ("LORA", {"lora_bias": True}),
    "DELORA pattern": ("DELORA", {"rank_pattern": {"q_proj": 2}}),
    "VERA mixed": ("VERA", {}),
    "UNILORA unsaved": ("UNILORA", {}),
    "TINYLORA untied": ("TINYLORA", {}),
    "GRALORA plain": ("GRALORA", {}),
    "SUPERTUNING sparse": ("SUPERTUNING", {}),
    "MISS bat": ("MISS", {"init_weights": "bat"}),
    "LOHA pattern": ("LOHA", {"alpha_pattern": {"q_.*": 3}}),
    "LOKR": ("LOKR", {"decompose_both": True, "alpha": 3}),
}
NAMED = set(
    "OFT BOFT HRA ROAD PSOFT HIRA IA3 GLORA MISS FOURIERFT WAVEFT RANDLORA PEANUT DEFT FROD OSF ADAMSS POLY LILY XLORA "
    "SHADOW BEFT LN_TUNING TRAINABLE_TOKENS ADAPTION_PROMPT PROMPT_TUNING PREFIX_TUNING CARTRIDGE P_TUNING CPT "
    "MULTITASK_PROMPT_TUNING".split()
) | {"VERA mixed", "UNILORA unsaved", "TINYLORA untied", "SUPERTUNING sparse", "MISS bat"}
BIASED = {"BEFT", "GLORA"}


def model(bias):
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            vocab_size=64,
            attention_bias=bias,
        )
    )


def experts(cls, config_cls, **more):
    torch.manual_seed(0)
    return cls(
        config_cls(
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=4,
            num_key_value_heads=2,
            num_experts_per_tok=2,
            vocab_size=64,
            head_dim=8,
            **more,
        )
    )


BOTH = {"target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"], "target_modules": ["q_proj"]}
QWEN = {"moe_intermediate_size": 24, "num_experts": 4}
EXPERTS = {
    "LORA experts": (
        lambda: experts(Qwen3MoeForCausalLM, Qwen3MoeConfig, **QWEN),
        {**BOTH, "rank_pattern": {"down_proj": 2}, "alpha_pattern": {r"experts\.(?!down)\w+": 64}},
    ),
    "LORA one parameter": (
        lambda: experts(Qwen3MoeForCausalLM, Qwen3MoeConfig, **QWEN),
        {"target_parameters": ["experts.down_proj"], "target_modules": ["q_proj"], "use_rslora": True},
    ),
    "LORA transposed experts": (
        lambda: experts(GptOssForCausalLM, GptOssConfig, intermediate_size=24, num_local_experts=4),
        BOTH,
    ),
}


def config_of(method, options):
    cls = PEFT_TYPE_TO_CONFIG_MAPPING[method]
    fields = {field.name for field in dataclasses.fields(cls)}
    values = dict(options)
    if "target_modules" in fields:
        values.setdefault("target_modules", TARGETS)
    if "r" in fields and method not in ("OFT", "SUPERTUNING"):
        values.setdefault("r", 4)
    if "init_weights" in fields and method not in ("MISS", "C3A", "OSF", "SHADOW", "DEFT", "PSOFT"):
        values.setdefault("init_weights", False)
    if "init_lora_weights" in fields:
        values.setdefault("init_lora_weights", False)
    return cls(**values)


def updates_of(tuned):
    found = {}
    for name, module in tuned.base_model.model.named_modules():
        if not hasattr(module, "get_delta_weight") or not hasattr(module, "base_layer"):
            continue
        module.double()
        if hasattr(module, "disable_adapters") and "default" not in getattr(module, "active_adapters", ["default"]):
            continue
        delta = module.get_delta_weight("default").detach()
        delta = (delta.to_dense() if delta.is_sparse else delta).double().numpy()
        if not hasattr(module, "parameter_name"):
            found[name] = measured(delta)
            continue
        # Some models store their experts as [in, out].
        experts = delta if module._did_swap_in_out_features else delta.transpose(0, 2, 1)
        for k, each in enumerate(experts):
            found[f"{name.replace('.base_layer', '')}.{module.parameter_name}[{k}]"] = measured(each)
    return found


def measured(delta):
    return {"shape": list(delta.shape), "values": np.linalg.svd(delta, compute_uv=False).tolist()}


made = {}
skipped = {}
todo = {
    **{
        method.value: (method.value, OPTIONS.get(method.value, {}), lambda m=method: model(m.value in BIASED))
        for method in PEFT_TYPE_TO_CONFIG_MAPPING
    },
    **{label: (method, options, lambda: model(False)) for label, (method, options) in VARIANTS.items()},
    **{label: ("LORA", options, make) for label, (make, options) in EXPERTS.items()},
}
for label, (method, options, make) in sorted(todo.items()):
    try:
        config = config_of(method, options)
        torch.manual_seed(1)
        tuned = get_peft_model(make(), config)
        with torch.no_grad():
            for _, parameter in tuned.named_parameters():
                if parameter.requires_grad and parameter.is_floating_point():
                    parameter.add_(torch.randn_like(parameter) * 0.1)
        tuned.save_pretrained(os.path.join(out, label))
        made[label] = None if label in NAMED or method in NAMED else updates_of(tuned)
    except Exception as error:
        skipped[label] = f"{type(error).__name__}: {str(error)[:200]}"
print(json.dumps({"made": made, "skipped": skipped}))
