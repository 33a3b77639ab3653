"""What each weight of small models of transformers is, by the module that holds it and not by its name.

python module_kinds.py    prints {model: [[name, shape, kind]]} as JSON; kind is 'table', 'head', 'router', 'stem', 'layer' or '' (not known)
"""

import json
import re

import torch
import transformers
from torch import nn

CLASSES = """AlbertForMaskedLM BartForConditionalGeneration BertForMaskedLM BertForQuestionAnswering BloomForCausalLM CanineForSequenceClassification
CLIPModel ConvNextForImageClassification CTRLLMHeadModel DebertaV2ForMaskedLM DetrForObjectDetection DistilBertForMaskedLM ElectraForMaskedLM
FalconForCausalLM Gemma2ForCausalLM GPT2LMHeadModel GPTJForCausalLM GPTNeoXForCausalLM GptOssForCausalLM GraniteMoeForCausalLM JambaForCausalLM
LlamaForCausalLM LongT5ForConditionalGeneration MambaForCausalLM MixtralForCausalLM MT5ForConditionalGeneration OlmoeForCausalLM OPTForCausalLM
PhiForCausalLM Qwen2MoeForCausalLM Qwen3MoeForCausalLM ResNetForImageClassification RobertaForSequenceClassification RwkvForCausalLM
SegformerForImageClassification SiglipModel SwinForImageClassification SwitchTransformersForConditionalGeneration T5ForConditionalGeneration
ViTForImageClassification Wav2Vec2ForCTC WhisperForConditionalGeneration XLNetLMHeadModel""".split()
COUNTS = "num_hidden_layers encoder_layers decoder_layers num_layers n_layer num_decoder_layers".split()
EXPERTS = "num_experts num_local_experts".split()


def small(config):
    for name in COUNTS:
        if isinstance(getattr(config, name, None), int) and getattr(config, name) > 4:
            setattr(config, name, 4)
    return config


def kind_of(model, name, module, shape, experts):
    holder = model.get_submodule(name.rpartition(".")[0])
    beside = any("expert" in child for child, _ in holder.named_children())
    if isinstance(module, nn.Embedding):
        return "table"
    if module is output_of(model):
        return "head"
    if re.search("Router|Gate$", type(module).__name__) or (beside and len(shape) == 2 and shape[0] in experts):
        return "router"
    if isinstance(module, nn.Conv2d) and shape[1] == 3:
        return "stem"
    in_list = any(isinstance(model.get_submodule(".".join(name.split(".")[:k])), nn.ModuleList) for k in range(1, name.count(".") + 1))
    if in_list and isinstance(module, nn.Linear) and not re.search("expert_gate|router", name):
        return "layer"
    return ""


def output_of(model):
    try:
        return model.get_output_embeddings()
    except Exception:
        return None


found = {}
for class_name in CLASSES:
    cls = getattr(transformers, class_name, None)
    if cls is None:
        continue
    try:
        config = small(cls.config_class())
        with torch.device("meta"):
            model = cls(config)
    except Exception:
        continue  # This version builds it only with more settings, or with another library.
    experts = {getattr(config, name, None) for name in EXPERTS} - {None}
    rows = {}
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, nn.Parameter) or weight.dim() < 2:
            continue
        pattern = re.sub(r"\d+", "#", name)
        rows.setdefault(pattern, []).append([f"{name}.weight", list(weight.shape), kind_of(model, name, module, weight.shape, experts)])
    found[class_name] = [row for same in rows.values() for row in (same[0], same[-1])]
print(json.dumps(found))
