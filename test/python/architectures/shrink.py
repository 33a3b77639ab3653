"""Small configurations of any model type: the sizes of the default configuration, made small by their names.

No two models name their sizes alike, so there are several ways to shrink, from the smallest models to those that keep
most ratios; the first way that gives a model that runs is taken.
"""

import inspect
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

WIDTH, HEADS, HEAD_SIZE, LAYERS, VOCABULARY = 32, 4, 8, 2, 160

# The first pattern that matches a key in full decides; None keeps the value. Only whole numbers are replaced.
SIZES: list[tuple[str, int | None]] = [
    (r"rotary_dim", HEAD_SIZE // 2),
    (r"(mrope|rope|rotary).*(section|dim|theta|base)", None),
    (r".*(stride|padding|dilation|theta|_ratio|_factor|group_size|_base|loss.*|.*_cost|_coefficient)", None),
    (r".*(sampling_rate|sample_rate|hop_length|frame_rate|n_fft|frequency|chunk_size_feed_forward)", None),
    (r"(pretraining_tp|type_vocab_size|num_labels|num_channels|in_chans|in_channels|input_channels)", None),
    (r"(audio_channels|num_input_channels|expand|mamba_expand|patch_temporal|temporal_patch_size|tubelet_size)", None),
    (r".*(kernel|kernel_size|d_conv|conv_kernel)", None),
    (
        r".*(audio_vocab|codebook|speech|unit|t2u|char|semantic|coarse|fine|target|input_vocab|output_vocab).*vocab_size.*",
        96,
    ),
    (r"(codebook_size|num_embeddings|.*_codebook_size|num_embeds)", 64),
    (r".*vocab_size.*|.*vocab_sizes|n_vocab|vocab", VOCABULARY),
    (r"(ngram_vocab_size_base|hash_.*size|encoder_hash_byte_group_vocab)", 97),
    (r".*(q_lora_rank|kv_lora_rank|lora_rank|loop_gate_rank|laurel_rank|hc_lowrank|o_lora_rank)", 16),
    (r"time_step_rank|mamba_dt_rank|dt_rank", 4),
    # Before version 5, a configuration holds the settings of generation as well.
    (r"top_k|num_beams|num_beam_groups|num_return_sequences", None),
    (
        r".*(num_experts_per_tok|num_experts_per_token|moe_topk|top_k|moe_k|topk_experts|num_selected_experts|experts_per_token)",
        2,
    ),
    (r".*(topk_group|n_group|num_expert_group|topk_groups|num_expert_groups|n_groups|mamba_n_groups|mamba_ngroups)", 1),
    (r".*(n_shared_experts|num_shared_experts)", 1),
    (r".*(num_experts|num_local_experts|n_routed_experts|moe_num_experts|num_routed_experts|_experts|n_experts)", 4),
    (r"expert_capacity", 64),
    (r"(moe_.*|.*expert.*)(intermediate_size|hidden_size|ffn.*|dim)", 24),
    (
        r"(num_nextn_predict_layers|first_k_dense_replace|num_dense_layers|moe_layer_start_index|num_kv_shared_layers)",
        1,
    ),
    (r".*(num_hash_layers)", 1),
    (
        r"(max_window_layers|decoder_sparse_step|.*_interval|.*_period|.*_offset|.*_step|.*layer_index|.*layer_idx|.*_index)",
        None,
    ),
    (r".*(feature_layer|feat_extract_layers|upsampling_stages|lstm_layers|adapter_layers|residual_layers)", None),
    (r".*(key_value_heads|kv_heads|num_kv_heads|num_query_groups|multi_query_group_num)", 2),
    (r".*qk_head_dim", 2 * HEAD_SIZE),
    (r"upsample_groups", WIDTH),
    (r"(ssm_state_size|state_size|mamba_d_state|d_state|ssm_cfg)", 8),
    (r"(mamba_n_heads|mamba_num_heads|n_mamba_heads)", 8),
    (r".*(head_dim|head_size|d_kv|dim_head|d_head|headdim|kv_channels|head_dims|key_dim)", HEAD_SIZE),
    (r".*(attention_heads|num_heads|n_heads?|heads|num_attn_heads|encoder_n_head|decoder_n_head)", HEADS),
    (r"(num_feature_levels|num_encoder_blocks|num_stages|num_query_pool_stages)", None),
    (r".*(layers|n_layer|num_layers|depth|num_blocks|blocks|.*num_hidden_layers|n_layer|resnets_depth)", LAYERS),
    (r".*(image_size|input_size|img_size|crop_size|input_resolution|resolution|image_resolution)", 32),
    (r".*patch_size", 8),
    (r".*(window_size|sliding_window|local_attention|attention_window|context_window|attention_chunk_size)", 8),
    (
        r".*(max_position_embeddings|n_positions|max_source_positions|max_target_positions|n_ctx|max_seq_len|max_length)",
        128,
    ),
    (r".*(position_embeddings|relative_positions|max_seq_length|seq_len|block_size|context_length|max_.*_len.*)", 64),
    (r".*(mel_bins|feature_size|mel_dim|num_mels|input_feat_per_channel|n_mels|input_feat_size)", 16),
    (
        r".*(num_queries|num_query_tokens|num_latents|n_latents|num_query|num_denoising|num_object_queries|.*latent.*num.*)",
        8,
    ),
    (
        r".*(intermediate_size|ffn_dim|ffn_size|ffn_hidden_size|ff_dim|mlp_dim|d_ff|d_inner|linear_units|feed_forward.*|n_inner)",
        48,
    ),
    (r".*(intermediate_dim|feedforward_dim|dim_feedforward|mlp_hidden_size|ffn_hidden_dim|intermediate_size_mlp)", 48),
    (
        r".*(hidden_sizes?|hidden_dim|d_model|n_embd|embed_dim|embedding_size|projection_dim|emb_dim|dim_model|hidden_state_size)",
        WIDTH,
    ),
    (
        r".*(output_dim|input_dim|embedding_dim|out_dim|in_dim|width|_dim|channels|_units|proj_size|projection_size|dim)",
        WIDTH,
    ),
    (r".*(num_filters|_filters|embed_size|output_size|_size_per_layer_input|text_embed_size|projector_.*size)", WIDTH),
]
COMPILED = [(re.compile(pattern), size) for pattern, size in SIZES]
TOKENS = re.compile(r".*(token_id|token_index|_token_ids?|token_idx|_id|_index|bos|eos|pad)")
LEVELS = re.compile(
    r"(hidden_sizes|embed_dims?|depths?|encoder_hidden_sizes|dims|neck_hidden_sizes|stage.*channels|.*num_filters|out_channels"
    r"|.*hidden_sizes|.*hidden_channels|widths?|decoder_hidden_sizes|stem_channels|.*_dims|.*_channels|dim|in_channels)"
)
STAGES = re.compile(
    r"(depths|num_blocks|block_sizes|.*_depths|num_hidden_layers|num_layers|layers|encoder_layers|.*layers_per.*)"
)
OVERRIDES: dict[str, Any] = json.loads(Path(__file__).with_name("overrides.json").read_text())


def by_name(key: str, value: int) -> int:
    """The size that models of `WIDTH` have for `key`."""
    for pattern, size in COMPILED:
        if pattern.fullmatch(key):
            return value if size is None else min(value, size) if value >= 0 else value
    return value


def layers_only(key: str, value: int) -> int:
    """Fewer layers, experts, tokens and positions, at full width."""
    if re.fullmatch(
        r".*(hidden|dim|d_model|head|channels|width|intermediate|ffn|mlp|embd|d_kv|d_ff|size|patch|image).*", key
    ):
        return value if "vocab" not in key else min(value, VOCABULARY)
    return by_name(key, value)


def divided(by: int):
    """All widths divided by the same number, which keeps their ratios; heads stay as many as they are."""

    def size(key: str, value: int) -> int:
        if re.fullmatch(r".*(heads?|groups?)", key) and "expert" not in key:
            return value
        small = by_name(key, value)
        if (
            small >= value
            or value < 2 * by
            or re.search(r"vocab|layer|depth|image_size|patch|expert|position|mel", key)
        ):
            return small
        return max(value // by, 1)

    return size


def narrow(key: str, value: int) -> int:
    """All layers, of small width: what refers to a layer by its number stays right."""
    if re.fullmatch(r".*(layers?|depths?|blocks|_layer_.*)", key) and "expert" not in key:
        return min(value, 48)
    return by_name(key, value)


WAYS = {
    "by name": by_name,
    "narrow": narrow,
    "an eighth": divided(8),
    "a quarter": divided(4),
    "layers only": layers_only,
}


def small_kwargs(config_class: type, model_type: str, way: str) -> dict[str, Any]:
    """Keyword arguments of a small configuration: those that differ from the default one."""
    chosen = OVERRIDES.get(model_type, {})
    defaults = default_values(config_class, chosen.get("base", {}))
    kwargs = {**chosen.get("base", {}), **shrunk(defaults, WAYS[way], chosen.get("keep", []))}
    return merged(kwargs, chosen.get("set", {}))


def default_values(config_class: type, given: dict[str, Any]) -> dict[str, Any]:
    return config_class(**given).to_dict()


def shrunk(values: dict[str, Any], size, keep: list[str], vocabulary: int = VOCABULARY) -> dict[str, Any]:
    small: dict[str, Any] = {}
    tokens = iter(range(100, 158))
    vocabulary = min(vocabulary, values.get("vocab_size") or vocabulary)
    for key, value in values.items():
        if key in keep or key in (
            "model_type",
            "transformers_version",
            "id2label",
            "label2id",
            "architectures",
            "dtype",
        ):
            continue
        if isinstance(value, dict):
            if "model_type" in value or key.endswith(("config", "cfg")):
                inner = shrunk(value, size, keep, vocabulary)
                if "model_type" in value:
                    inner["model_type"] = value["model_type"]
                small[key] = {**inner} if "model_type" in value else {**value, **inner}
            elif key in ("rope_parameters", "rope_scaling"):
                rope = shrunk_rope(value)
                if rope != value:
                    small[key] = rope
        elif isinstance(value, bool) or value is None:
            continue
        elif isinstance(value, int):
            if TOKENS.fullmatch(key):
                if value >= 90:
                    small[key] = next(tokens)
            elif (found := size(key, value)) != value:
                small[key] = found
        elif isinstance(value, (list, tuple)) and value:
            if all(isinstance(each, int) and not isinstance(each, bool) for each in value):
                found = shrunk_list(key, list(value), size)
                if found != list(value):
                    small[key] = found
    if values.get("num_key_value_heads") == values.get("num_attention_heads") and "num_attention_heads" in small:
        small["num_key_value_heads"] = small["num_attention_heads"]
    layers = small.get("num_hidden_layers", small.get("num_layers"))
    if isinstance(layers, int):
        if values.get("per_layer_config"):
            small["per_layer_config"] = {
                key: value for key, value in values["per_layer_config"].items() if int(key) < layers
            }
        kinds = values.get("layer_types")
        if isinstance(kinds, list) and len(kinds) > layers:
            # One of each kind of layer.
            chosen = list(dict.fromkeys(kinds))
            count = max(layers, len(chosen))
            small["layer_types"] = (chosen + kinds)[:count]
            small["num_hidden_layers"] = count
        for key, value in values.items():
            if key != "layer_types" and isinstance(value, list) and len(value) > 2 and key not in small:
                if len(value) == values.get("num_hidden_layers") and small.get("num_hidden_layers"):
                    small[key] = value[: small["num_hidden_layers"]]
    return small


def shrunk_rope(value: dict[str, Any]) -> dict[str, Any]:
    out = dict(value)
    for key, inner in value.items():
        if isinstance(inner, dict):
            out[key] = shrunk_rope(inner)
        elif key == "mrope_section":
            out[key] = [2, 1, 1]
        elif key in ("short_factor", "long_factor"):
            out[key] = [1.0] * (HEAD_SIZE // 2)
    return out


def fit_sections(config: Any, modules: set[str]) -> None:
    """Multimodal rotary embeddings divide the frequencies of a head among time, height and width: makes the shares fit.

    `modules` are those that define the model's layers: only where they read the shares are these set.
    """
    if not any("mrope_section" in source_of(name) for name in modules):
        return
    for each in [config, *(value for value in vars(config).values() if hasattr(value, "model_type"))]:
        if not hasattr(each, "rope_parameters") and getattr(each, "rope_scaling", 0) is None:
            # Before version 5, whose models nevertheless rely on it.
            each.rope_scaling = {"type": "default", "rope_type": "default"}
        rope = getattr(each, "rope_parameters", None) or getattr(each, "rope_scaling", None)
        heads = getattr(each, "num_attention_heads", None)
        if not isinstance(rope, dict) or not isinstance(heads, int) or not {"rope_type", "type"} & rope.keys():
            continue
        size = getattr(each, "head_dim", None) or each.hidden_size // heads
        share = rope.get("partial_rotary_factor") or getattr(each, "partial_rotary_factor", None) or 1.0
        half = int(size * share) // 2
        rope["mrope_section"] = [half - 2 * (half // 3), half // 3, half // 3]


@cache
def source_of(module: str) -> str:
    try:
        return inspect.getsource(sys.modules[module])
    except (OSError, TypeError):
        return ""


def shrunk_list(key: str, value: list[int], size) -> list[int]:
    if TOKENS.fullmatch(key):
        return [100 + k if each >= 90 else each for k, each in enumerate(value)]
    if re.fullmatch(r".*heads", key) and any(each % 3 == 0 for each in value):
        return [max(1, each // 3 * 2) for each in value]
    if STAGES.fullmatch(key):
        return [min(each, 1) for each in value]
    if LEVELS.fullmatch(key) and min(value) > 0:
        if min(value) >= 16:
            by = min(value) // 16
            return [max(8, each // by // 8 * 8) for each in value]
        return value
    if re.fullmatch(r"(image_size|input_size|img_size)", key):
        return [32] * len(value)
    return value


def merged(values: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    out = dict(values)
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged(out[key], value)
        else:
            out[key] = value
    return out
