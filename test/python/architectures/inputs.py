"""Inputs that run a model's forward, from the names of its parameters and the sizes in its configuration."""

import inspect
from collections.abc import Iterator
from typing import Any

import torch

BATCH, LENGTH, DECODED = 2, 12, 7


class Sizes:
    """Looks a size up anywhere in a configuration, the outermost first."""

    def __init__(self, config: Any):
        self.config = config

    def __call__(self, *names: str, default: Any = None) -> Any:
        level = [self.config]
        while level:
            for config in level:
                for name in names:
                    value = config.get(name) if isinstance(config, dict) else getattr(config, name, None)
                    if value is not None and not isinstance(value, bool):
                        return value
            level = [inner for config in level for inner in self.inner(config)]
        return default

    @staticmethod
    def inner(config: Any) -> list[Any]:
        values = config if isinstance(config, dict) else vars(config)
        return [value for value in values.values() if hasattr(value, "to_dict") and hasattr(value, "model_type")]

    def pair(self, *names: str, default: int) -> tuple[int, int]:
        value = self(*names, default=default)
        if isinstance(value, dict):
            value = (value.get("height", default), value.get("width", default))
        return tuple(value)[-2:] if isinstance(value, (list, tuple)) and len(value) > 1 else (as_int(value),) * 2


def as_int(value: Any) -> int:
    return int(value[0]) if isinstance(value, (list, tuple)) else int(value)


def ids(vocabulary: int, length: int, generator: torch.Generator) -> torch.Tensor:
    # Special tokens are given ids from 100 on, and small ones are often padding.
    return torch.randint(4, max(5, min(vocabulary, 90)), (BATCH, length), generator=generator)


def patches(name: str, sizes: Sizes, generator: torch.Generator, kind: str) -> torch.Tensor:
    """Images that were cut into patches outside the model: one of 4 x 4 patches, or a batch of those."""
    if name == "spatial_shapes":
        return torch.tensor([[4, 4]] * BATCH)
    if name == "pixel_attention_mask":
        return torch.ones(BATCH, 16, dtype=torch.long)
    if name.endswith("grid_thw"):
        return torch.tensor([[1, 4, 4]])
    size = (
        as_int(sizes("num_channels", "in_channels", "in_chans", default=3))
        * as_int(sizes("patch_size", default=8)) ** 2
    )
    if kind != "flat":
        size *= as_int(sizes("temporal_patch_size", default=1))
    rows = (BATCH, 16) if kind == "batch of patches" else (16,)
    return torch.randn(*rows, size, generator=generator)


def value_of(
    name: str, sizes: Sizes, generator: torch.Generator, kind: str, names: frozenset[str] = frozenset()
) -> Any:
    """A value for the parameter `name`, or None where nothing is known of it."""

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    vocabulary = as_int(sizes("vocab_size", "n_vocab", "num_embeddings", "codebook_size", default=100))
    height, width = sizes.pair("image_size", "img_size", "input_size", "input_resolution", "resolution", default=32)
    if kind == "large":
        height, width = max(height, 64), max(width, 64)
    channels = as_int(sizes("num_channels", "in_chans", "in_channels", "input_channels", default=3))
    mel = as_int(
        sizes("num_mel_bins", "feature_size", "input_feat_per_channel", "n_mels", "mel_dim", "input_dim", default=16)
    )
    frames = as_int(sizes("num_frames", "frames_per_clip", "tubelet_frames", default=4))
    hidden = as_int(sizes("hidden_size", "d_model", "embed_dim", "hidden_dim", default=32))
    grid = {"grid_thw", "image_grid_thw", "video_grid_thw", "spatial_shapes"} & names
    if grid and name in ("hidden_states", "pixel_values", "pixel_attention_mask", *grid):
        return patches(name, sizes, generator, kind)
    if name in (
        "input_ids",
        "qformer_input_ids",
        "decoder_input_ids",
        "input_tokens",
        "tokens",
        "query_input_ids",
        "passage_input_ids",
    ):
        return ids(vocabulary, DECODED if name.startswith("decoder") else LENGTH, generator)
    if name in ("attention_mask", "decoder_attention_mask"):
        return torch.ones(BATCH, DECODED if name.startswith("decoder") else LENGTH, dtype=torch.long)
    if name in ("pixel_values", "images", "pixel_values_images", "image"):
        if kind == "video":
            return normal(BATCH, frames, channels, height, width)
        if kind == "images":
            return normal(BATCH, 2, channels, height, width)
        return normal(BATCH, channels, height, width)
    if name in ("pixel_values_videos", "pixel_values_video", "videos"):
        return normal(BATCH, frames, channels, height, width)
    if name == "pixel_mask":
        return torch.ones(BATCH, height, width, dtype=torch.long)
    if name in ("bbox", "boxes"):
        corner = torch.randint(0, 20, (BATCH, LENGTH, 2), generator=generator)
        return torch.cat([corner, corner + 5], -1)
    if name in ("input_features", "audio_features", "features", "input_audio_features", "spectrogram", "audio_mel"):
        length = 2 * as_int(sizes("max_source_positions", default=64)) if kind != "time first" else 64
        return normal(BATCH, length, mel) if kind == "time first" else normal(BATCH, mel, length)
    if name in ("input_values", "audio_values", "waveform", "audio", "raw_speech"):
        if kind == "time first":
            return normal(BATCH, max(64, as_int(sizes("max_length", default=64))), mel)
        if kind == "channels":
            return normal(BATCH, as_int(sizes("audio_channels", default=1)), 4096)
        return normal(BATCH, 4096)
    if name in ("inputs_embeds", "hidden_states", "encoder_hidden_states", "encoder_outputs", "decoder_inputs_embeds"):
        return normal(BATCH, LENGTH, hidden)
    if name in ("past_values", "time_series", "past_time_features", "past_observed_mask"):
        length = as_int(sizes("context_length", "seq_len", default=32)) + max(sizes("lags_sequence", default=[0]))
        variates = as_int(
            sizes("num_time_features" if "time_features" in name else "num_input_channels", "input_size", default=1)
        )
        shape = (BATCH, length) if kind == "series" and "time_features" not in name else (BATCH, length, variates)
        return torch.ones(shape) if name.endswith("mask") else normal(*shape)
    if name in ("future_values", "future_time_features"):
        length = as_int(sizes("prediction_length", default=4))
        return (
            normal(BATCH, length)
            if name == "future_values"
            else normal(BATCH, length, as_int(sizes("num_time_features", default=1)))
        )
    if name in ("states", "actions", "rewards", "returns_to_go"):
        return normal(
            BATCH, 5, as_int(sizes({"states": "state_dim", "actions": "act_dim"}.get(name, "reward_dim"), default=1))
        )
    if name == "timesteps":
        return torch.arange(5).expand(BATCH, -1)
    if name in ("visual_feats", "visual_pos"):
        return normal(
            BATCH, 4, as_int(sizes("visual_feat_dim" if name == "visual_feats" else "visual_pos_dim", default=4))
        )
    if name == "flattened_patches":
        positions = torch.stack([torch.arange(16) // 4, torch.arange(16) % 4], -1) + 1.0
        return torch.cat(
            [positions.expand(BATCH, -1, -1), normal(BATCH, 16, as_int(sizes("patch_embed_hidden_size")))], -1
        )
    if name in ("query_embeds", "queries"):
        return normal(1, 4, hidden)
    if name in ("input_features_mask", "audio_mel_mask"):
        return torch.ones(
            BATCH, value_of("input_features", sizes, generator, kind).shape[1 if kind == "time first" else 2]
        ).bool()
    if name == "return_loss":
        return False
    if name in ("position_ids", "cache_position"):
        return torch.arange(LENGTH)[None].expand(BATCH, -1)
    return None


# What is given beside the parameters that forward demands, in the order in which they are tried.
COMPANIONS: list[tuple[str, ...]] = [
    (),
    ("input_ids",),
    ("input_ids", "decoder_input_ids"),
    ("pixel_values",),
    ("pixel_values", "input_ids"),
    ("pixel_values", "input_ids", "attention_mask"),
    ("pixel_values", "decoder_input_ids"),
    ("pixel_values", "qformer_input_ids", "input_ids"),
    ("pixel_values_videos",),
    ("pixel_values_videos", "input_ids"),
    ("input_features",),
    ("input_features", "input_ids"),
    ("input_features", "decoder_input_ids"),
    ("input_features", "attention_mask"),
    ("input_values",),
    ("input_values", "input_ids"),
    ("input_values", "decoder_input_ids"),
    ("audio_values", "pixel_values"),
    ("input_ids", "bbox"),
    ("input_ids", "bbox", "pixel_values"),
    ("input_ids", "bbox", "decoder_input_ids"),
    ("input_ids", "visual_feats", "visual_pos"),
    ("flattened_patches", "decoder_input_ids"),
    ("input_features", "input_features_mask"),
    ("inputs_embeds",),
    ("past_values",),
    ("past_values", "past_time_features", "past_observed_mask"),
    ("past_values", "past_time_features", "past_observed_mask", "future_values", "future_time_features"),
    ("states", "actions", "rewards", "returns_to_go", "timesteps"),
    ("hidden_states",),
]
KINDS = ("", "time first", "video", "images", "channels", "large", "series", "batch of patches", "flat")
# Whether these kinds change what is given under these names.
SENSITIVE = {
    "time first": {
        "input_features",
        "input_values",
        "audio_values",
        "features",
        "audio_features",
        "spectrogram",
        "audio_mel",
        "input_features_mask",
    },
    "video": {"pixel_values", "images"},
    "images": {"pixel_values", "images"},
    "channels": {"input_values", "audio_values", "waveform", "audio"},
    "large": {"pixel_values", "images", "image"},
    "series": {"past_values", "past_observed_mask"},
    "batch of patches": {"grid_thw", "spatial_shapes"},
    "flat": {"grid_thw"},
}


def candidates(model: Any, seed: int = 1) -> Iterator[dict[str, Any]]:
    """Yields keyword arguments of `model.forward`, the likeliest first."""
    parameters = {
        name: parameter
        for name, parameter in inspect.signature(model.forward).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }
    demanded = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
    main = getattr(model, "main_input_name", None)
    sizes = Sizes(model.config)
    seen = set()
    # The main input decides which of the companions come first.
    order = sorted(COMPANIONS, key=lambda names: main not in {*names, *demanded})
    for kind in KINDS:
        for names in order:
            if any(name not in parameters for name in names):
                continue
            wanted = tuple(dict.fromkeys([*demanded, *names]))
            if not wanted or (kind, wanted) in seen or (kind and not SENSITIVE[kind] & set(wanted)):
                continue
            seen.add((kind, wanted))
            generator = torch.Generator().manual_seed(seed)
            values = {name: value_of(name, sizes, generator, kind, frozenset(wanted)) for name in wanted}
            unknown = [name for name, value in values.items() if value is None]
            if not unknown:
                yield values
                if kind == "" and "use_cache" in parameters:
                    yield {**values, "use_cache": False}
    # What the model's own class suggests.
    try:
        suggested = model.dummy_inputs
    except Exception:
        return
    if isinstance(suggested, dict) and suggested:
        yield {name: value for name, value in suggested.items() if name in parameters}
