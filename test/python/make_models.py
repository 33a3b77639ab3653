"""Makes tiny random models of transformers, whose layers and names differ from those of a plain network.

usage: make_models.py FOLDER; writes FOLDER/NAME/{config.json, model.safetensors}, and prints {NAME: null, or why it could not be made}
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from transformers import AutoConfig

SMALL = {
    "vocab_size": 48,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GROUPED = {**SMALL, "num_key_value_heads": 2, "head_dim": 8}
EXPERTS = {**GROUPED, "num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
TRANSLATION = {
    "vocab_size": 48,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
WHISPER = {
    **TRANSLATION,
    "num_mel_bins": 8,
    "max_source_positions": 16,
    "max_target_positions": 32,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
}
WAV2VEC2 = {
    **SMALL,
    "conv_dim": (16, 16),
    "conv_kernel": (4, 3),
    "conv_stride": (2, 2),
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
T5 = {"vocab_size": 48, "d_model": 16, "d_kv": 4, "d_ff": 24, "num_layers": 2, "num_heads": 4}
# Type, class, configuration.
MODELS = {
    "gemma2": ("gemma2", "Gemma2ForCausalLM", GROUPED),
    "gemma3_text": ("gemma3_text", "Gemma3ForCausalLM", GROUPED),
    "llama4_text": ("llama4_text", "Llama4ForCausalLM", {**EXPERTS, "intermediate_size_mlp": 24}),
    "opt": ("opt", "OPTForCausalLM", {**SMALL, "ffn_dim": 24, "word_embed_proj_dim": 16}),
    "bart": ("bart", "BartForConditionalGeneration", TRANSLATION),
    "pegasus": ("pegasus", "PegasusForCausalLM", TRANSLATION),
    "bigbird_pegasus": ("bigbird_pegasus", "BigBirdPegasusForCausalLM", TRANSLATION),
    "vit": ("vit", "ViTForImageClassification", {**SMALL, "image_size": 32, "patch_size": 8}),
    "gpt_neox": ("gpt_neox", "GPTNeoXForCausalLM", SMALL),
    "mixtral": ("mixtral", "MixtralForCausalLM", EXPERTS),
    "qwen3_moe": ("qwen3_moe", "Qwen3MoeForCausalLM", EXPERTS),
    "whisper": ("whisper", "WhisperForConditionalGeneration", WHISPER),
    "granitemoe": ("granitemoe", "GraniteMoeForCausalLM", {**EXPERTS, "head_dim": 4}),
    "gpt2": ("gpt2", "GPT2LMHeadModel", {"vocab_size": 48, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}),
    "bert": ("bert", "BertForMaskedLM", SMALL),
    "t5": ("t5", "T5ForConditionalGeneration", {**T5, "decoder_start_token_id": 0}),
    "wav2vec2": ("wav2vec2", "Wav2Vec2Model", WAV2VEC2),
}


def make(name: str, folder: Path) -> None:
    kind, architecture, settings = MODELS[name]
    torch.manual_seed(0)
    model = getattr(transformers, architecture)(AutoConfig.for_model(kind, **settings))
    # What starts at zero or one would hide that it was mixed up.
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder / name)


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    outcome = {}
    for name in MODELS:
        try:
            make(name, Path(sys.argv[1]))
            outcome[name] = None
        except Exception as error:
            outcome[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(outcome))
