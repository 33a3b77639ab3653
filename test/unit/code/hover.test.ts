import assert from 'node:assert/strict';
import { hovered, llama, type Tensor } from './hoverSources.ts';

const ATTENTION = `
class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads = c.heads
        self.q_proj = nn.Linear(c.size, c.size, bias=False)
        self.k_proj = nn.Linear(c.size, c.size, bias=False)
        self.v_proj = nn.Linear(c.size, c.size, bias=False)
        self.o_proj = nn.Linear(c.size, c.size, bias=False)
`;
const MODEL = `
class RMSNorm(nn.Module):
    def __init__(self, size):
        self.weight = nn.Parameter(torch.ones(size))

class MLP(nn.Module):
    def __init__(self, c):
        self.gate_proj = nn.Linear(c.size, c.inner)
        self.up_proj = nn.Linear(c.size, c.inner)
        self.down_proj = nn.Linear(c.inner, c.size)
        self.act = ACT2FN[c.act]

class DecoderLayer(nn.Module):
    def __init__(self, c):
        self.self_attn = Attention(c)
        self.mlp = MLP(c)
        self.input_layernorm = RMSNorm(c.size)
        self.post_attention_layernorm = RMSNorm(c.size)

class Model(nn.Module):
    def __init__(self, c):
        self.embed_tokens = nn.Embedding(c.vocab, c.size)
        self.layers = nn.ModuleList([DecoderLayer(c) for _ in range(c.layers)])
        self.norm = RMSNorm(c.size)

class CausalLM(nn.Module):
    def __init__(self, c):
        self.model = Model(c)
        self.lm_head = nn.Linear(c.size, c.vocab)
        self.lm_head.weight = self.model.embed_tokens.weight
`;
const mark = (source: string, text: string) => {
  assert.ok(source.includes(text), `the example has no ${text}`);
  return source.replace(text, `${text.slice(0, text.lastIndexOf('.') + 1)}^${text.slice(text.lastIndexOf('.') + 1)}`);
};
const all = (module: string, layers = 2, prefix = 'model.') =>
  Array.from({ length: layers }, (_, index) => `${prefix}layers.${index}.${module}.weight`);

describe('a hover in Python', () => {
  it('finds a layer through the classes that contain its class', async () => {
    const source = mark(ATTENTION + MODEL, 'self.q_proj');
    assert.deepEqual(await hovered(source, llama()), all('self_attn.q_proj'));
  });

  it('finds it in a checkpoint with another prefix, or none', async () => {
    const source = mark(ATTENTION + MODEL, 'self.q_proj');
    assert.deepEqual(await hovered(source, llama(2, '')), all('self_attn.q_proj', 2, ''));
    const wrapped = llama(2, 'module._orig_mod.');
    assert.deepEqual(await hovered(source, wrapped), all('self_attn.q_proj', 2, 'module._orig_mod.'));
  });

  it('finds it in the forward pass too', async () => {
    const source = `${ATTENTION}    def forward(self, x):\n        return self.^o_proj(x)\n${MODEL}`;
    assert.deepEqual(await hovered(source, llama()), all('self_attn.o_proj'));
  });

  it('finds a class by its structure alone if nothing in the file contains it', async () => {
    assert.deepEqual(await hovered(mark(ATTENTION, 'self.v_proj'), llama()), all('self_attn.v_proj'));
  });

  it('lists the matrices below a module', async () => {
    const source = mark(ATTENTION + MODEL, 'self.mlp');
    const under = await hovered(source, llama(1));
    assert.deepEqual(
      under,
      ['mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj'].flatMap((name) => all(name, 1)),
    );
  });

  it('does not show for a class that the model does not use', async () => {
    const unused = ATTENTION.replace('Attention', 'Unused').replace('self.q_proj', 'self.^q_proj');
    assert.deepEqual(await hovered(ATTENTION + unused + MODEL, llama()), []);
    const partial = 'class Foo(nn.Module):\n    def __init__(self):\n        self.^q_proj = nn.Linear(8, 8)\n';
    assert.deepEqual(await hovered(partial, llama()), []);
    assert.deepEqual(await hovered(partial + ATTENTION + MODEL, llama()), []);
  });

  it('does not show if two classes match equally well', async () => {
    const source = mark(ATTENTION, 'self.q_proj') + ATTENTION.replace('Attention', 'Other');
    assert.deepEqual(await hovered(source, llama()), []);
  });

  it('does not show for a class with a module too many or too few', async () => {
    const more = `${ATTENTION}        self.gate = nn.Linear(c.size, 1)\n`;
    assert.deepEqual(await hovered(mark(more, 'self.q_proj'), llama()), []);
    const less = ATTENTION.split('\n')
      .filter((line) => !line.includes('o_proj'))
      .join('\n');
    assert.deepEqual(await hovered(mark(less, 'self.q_proj'), llama()), []);
  });

  it('does not show if the sizes in the code differ from those of the tensor', async () => {
    const sized = (size: number) => ATTENTION.replaceAll('c.size', String(size));
    assert.deepEqual(await hovered(mark(sized(64), 'self.q_proj'), llama()), all('self_attn.q_proj'));
    assert.deepEqual(await hovered(mark(sized(65), 'self.q_proj'), llama()), []);
  });

  it('does not show for the weight of a class that looks like any Linear', async () => {
    const linear = `
class Linear8(nn.Module):
    def __init__(self, m, n):
        self.^weight = nn.Parameter(torch.zeros(m, n))
`;
    assert.deepEqual(await hovered(linear, llama()), []);
    assert.deepEqual(
      await hovered(`${linear}        self.bias = nn.Parameter(torch.zeros(m))\n`, [
        ...llama(),
        { name: 'model.layers.0.mlp.up_proj.bias', shape: [172] },
      ]),
      [],
    );
  });

  it('accepts that conditional modules are missing', async () => {
    const source = `${ATTENTION}        if c.gate:\n            self.gate = nn.Linear(c.size, 1)\n${MODEL}`;
    assert.deepEqual(await hovered(mark(source, 'self.q_proj'), llama()), all('self_attn.q_proj'));
  });

  it('finds inherited layers', async () => {
    const source = `${ATTENTION}\nclass Sliding(Attention):\n    pass\n${MODEL.replace('Attention(c)', 'Sliding(c)')}`;
    assert.deepEqual(await hovered(mark(source, 'self.q_proj'), llama()), all('self_attn.q_proj'));
  });

  it('follows layers that are appended one by one', async () => {
    const source = (ATTENTION + MODEL).replace(
      'self.layers = nn.ModuleList([DecoderLayer(c) for _ in range(c.layers)])',
      'self.layers = nn.ModuleList()\n        for i in range(c.layers):\n            self.layers.append(DecoderLayer(c))',
    );
    assert.deepEqual(await hovered(mark(source, 'self.q_proj'), llama()), all('self_attn.q_proj'));
  });

  it('follows the dictionary of modules of a GPT', async () => {
    const source = `
class MLP(nn.Module):
    def __init__(self, c):
        self.c_fc = nn.Linear(c.n, 4 * c.n)
        self.c_proj = nn.Linear(4 * c.n, c.n)
        self.gelu = nn.GELU()
class Block(nn.Module):
    def __init__(self, c):
        self.ln_1 = nn.LayerNorm(c.n)
        self.mlp = MLP(c)
class GPT(nn.Module):
    def __init__(self, c):
        self.transformer = nn.ModuleDict(dict(
            wte = nn.Embedding(c.vocab, c.n),
            drop = nn.Dropout(c.p),
            h = nn.ModuleList([Block(c) for _ in range(c.layers)]),
        ))
        self.lm_head = nn.Linear(c.n, c.vocab, bias=False)
        self.transformer.wte.weight = self.lm_head.weight
`;
    const tensors: Tensor[] = [
      { name: 'transformer.wte.weight', shape: [65, 32] },
      ...[0, 1].flatMap((layer) => [
        { name: `transformer.h.${layer}.ln_1.weight`, shape: [32] },
        { name: `transformer.h.${layer}.mlp.c_fc.weight`, shape: [128, 32] },
        { name: `transformer.h.${layer}.mlp.c_proj.weight`, shape: [32, 128] },
      ]),
      { name: 'lm_head.weight', shape: [65, 32] },
    ];
    const fc = ['transformer.h.0.mlp.c_fc.weight', 'transformer.h.1.mlp.c_fc.weight'];
    assert.deepEqual(await hovered(mark(source, 'self.c_fc'), tensors), fc);
    assert.deepEqual(await hovered(source.replace('wte =', '^wte ='), tensors), ['transformer.wte.weight']);
  });

  it('follows Sequential by position', async () => {
    const source = `
class Net(nn.Module):
    def __init__(self):
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
    def forward(self, x):
        return self.net[2].^weight
`;
    const tensors = [
      { name: 'net.0.weight', shape: [16, 8] },
      { name: 'net.2.weight', shape: [2, 16] },
    ];
    assert.deepEqual(await hovered(source, tensors), ['net.2.weight']);
    assert.deepEqual(await hovered(source, [...tensors, { name: 'net.1.weight', shape: [2, 2] }]), []);
  });

  it('resolves an index to one layer, counting a negative one from the end', async () => {
    assert.deepEqual(await hovered('x = self.layers[1].mlp.^down_proj', llama()), [
      'model.layers.1.mlp.down_proj.weight',
    ]);
    assert.deepEqual(await hovered('m.model.layers[-2].mlp.^up_proj', llama()), ['model.layers.0.mlp.up_proj.weight']);
    assert.deepEqual(await hovered('m.model.layers[7].mlp.^up_proj', llama()), []);
    assert.deepEqual(await hovered('anything.mlp.^up_proj', llama()), []);
  });
});

describe('a hover on a string', () => {
  it('resolves a complete name, with or without .weight', async () => {
    const name = 'model.layers.1.self_attn.q_proj.weight';
    assert.deepEqual(await hovered(`x = "^${name}"`, llama()), [name]);
    assert.deepEqual(await hovered(`x = '^layers.1.self_attn.q_proj'`, llama()), [name]);
    assert.deepEqual(await hovered('f"model.layers.{^i}.self_attn.q_proj"', llama()), []);
    assert.deepEqual(await hovered('f"^model.layers.{i}.self_attn.q_proj"', llama()), all('self_attn.q_proj'));
  });

  it('does not show on other strings', async () => {
    for (const text of ['q_proj', 'layers', 'weight', 'self_attn.x_proj', 'the model.layers', '', '.', 'a.b.c']) {
      assert.deepEqual(await hovered(`x = "^${text}"`, llama()), [], text);
    }
  });

  it('resolves entries of target_modules as PEFT does', async () => {
    assert.deepEqual(
      await hovered('LoraConfig(target_modules=["k_proj", "^q_proj"])', llama()),
      all('self_attn.q_proj'),
    );
    assert.deepEqual(await hovered('c = {"target_modules": ["^mlp.up_proj"]}', llama()), all('mlp.up_proj'));
    assert.deepEqual(await hovered('target_modules = r"^.*\\.(q_proj|k_proj)"', llama(1)), [
      ...all('self_attn.q_proj', 1),
      ...all('self_attn.k_proj', 1),
    ]);
    assert.deepEqual(await hovered('LoraConfig(target_modules=["^proj"])', llama()), []);
    assert.deepEqual(await hovered('LoraConfig(task=["^q_proj"])', llama()), []);
  });

  it('resolves keys of rank_pattern', async () => {
    assert.deepEqual(await hovered('LoraConfig(rank_pattern={"^down_proj": 8})', llama()), all('mlp.down_proj'));
    assert.deepEqual(await hovered('LoraConfig(rank_pattern={"^(a+)+b": 8})', llama()), []);
  });
});

describe('code in the style of libraries', () => {
  const library = `
class LlamaRotaryEmbedding(nn.Module):
    def __init__(self, config, device=None):
        super().__init__()
        self.max_seq_len_cached = config.max_position_embeddings
        self.rope_type = "default"
        inv_freq, self.attention_scaling = self.rope_init_fn(self.config, device)
        self.register_buffer("inv_freq", inv_freq, persistent=False)
        self.original_inv_freq = self.inv_freq

@use_kernel_forward_from_hub("RMSNorm")
class LlamaRMSNorm(nn.Module):
    def __init__(self, hidden_size, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

class LlamaMLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate_proj = nn.Linear(self.hidden_size, self.intermediate_size, bias=config.mlp_bias)
        self.up_proj = nn.Linear(self.hidden_size, self.intermediate_size, bias=config.mlp_bias)
        self.down_proj = nn.Linear(self.intermediate_size, self.hidden_size, bias=config.mlp_bias)
        self.act_fn = ACT2FN[config.hidden_act]

class LlamaAttention(nn.Module):
    def __init__(self, config: LlamaConfig, layer_idx: int):
        super().__init__()
        self.q_proj = nn.Linear(
            config.hidden_size, config.num_attention_heads * self.head_dim, bias=config.attention_bias
        )
        self.k_proj = nn.Linear(config.hidden_size, n, bias=config.attention_bias)
        self.v_proj = nn.Linear(config.hidden_size, n, bias=config.attention_bias)
        self.o_proj = nn.Linear(n, config.hidden_size, bias=config.attention_bias)

class LlamaDecoderLayer(GradientCheckpointingLayer):
    def __init__(self, config: LlamaConfig, layer_idx: int):
        super().__init__()
        self.self_attn = LlamaAttention(config=config, layer_idx=layer_idx)
        self.mlp = LlamaMLP(config)
        self.input_layernorm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)

@auto_docstring
class LlamaPreTrainedModel(PreTrainedModel):
    config: LlamaConfig

class LlamaModel(LlamaPreTrainedModel):
    def __init__(self, config: LlamaConfig):
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, self.padding_idx)
        self.layers = nn.ModuleList(
            [LlamaDecoderLayer(config, layer_idx) for layer_idx in range(config.num_hidden_layers)]
        )
        self.norm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rotary_emb = LlamaRotaryEmbedding(config=config)
        self.gradient_checkpointing = False
        self.post_init()

class LlamaForCausalLM(LlamaPreTrainedModel, GenerationMixin):
    _tied_weights_keys = ["lm_head.weight"]
    def __init__(self, config):
        super().__init__(config)
        self.model = LlamaModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

class LlamaForSequenceClassification(LlamaPreTrainedModel):
    def __init__(self, config):
        self.model = LlamaModel(config)
        self.score = nn.Linear(config.hidden_size, self.num_labels, bias=False)

class LlamaForTokenClassification(GenericForTokenClassification, LlamaPreTrainedModel): ...
`;
  const untied = [...llama(), { name: 'lm_head.weight', shape: [512, 64] }];

  it('is resolved with its head tied, with a head of its own, and without one', async () => {
    for (const tensors of [llama(), untied, llama(2, '')]) {
      const prefix = tensors[0]!.name.startsWith('model.') ? 'model.' : '';
      assert.deepEqual(await hovered(mark(library, 'self.k_proj'), tensors), all('self_attn.k_proj', 2, prefix));
      assert.deepEqual(await hovered(mark(library, 'self.down_proj'), tensors), all('mlp.down_proj', 2, prefix));
    }
    assert.deepEqual(await hovered(mark(library, 'self.lm_head'), untied), ['lm_head.weight']);
    assert.deepEqual(await hovered(mark(library, 'self.score'), untied), []);
  });

  it('treats a LoRA layer that inherits from Linear as a Linear', async () => {
    const source = `
class MyLinear(nn.Linear):
    def __init__(self, m, n):
        super().__init__(m, n)
        self.scale = 1.0
${ATTENTION.replaceAll('nn.Linear', 'MyLinear')}${MODEL}`;
    assert.deepEqual(await hovered(mark(source, 'self.q_proj'), llama()), all('self_attn.q_proj'));
  });

  it('follows llama2.c, whose layers are appended and whose embedding is the head', async () => {
    const source = `
class Attention(nn.Module):
    def __init__(self, args):
        self.wq = nn.Linear(args.dim, args.dim, bias=False)
        self.wo = nn.Linear(args.dim, args.dim, bias=False)
        self.flash = hasattr(torch.nn.functional, 'scaled_dot_product_attention')
        if not self.flash:
            self.register_buffer("mask", mask)
class TransformerBlock(nn.Module):
    def __init__(self, layer_id, args):
        self.attention = Attention(args)
        self.attention_norm = RMSNorm(args.dim, eps=args.norm_eps)
class Transformer(nn.Module):
    last_loss: Optional[torch.Tensor]
    def __init__(self, params):
        self.tok_embeddings = nn.Embedding(params.vocab_size, params.dim)
        self.dropout = nn.Dropout(params.dropout)
        self.layers = torch.nn.ModuleList()
        for layer_id in range(params.n_layers):
            self.layers.append(TransformerBlock(layer_id, params))
        self.norm = RMSNorm(params.dim, eps=params.norm_eps)
        self.output = nn.Linear(params.dim, params.vocab_size, bias=False)
        self.tok_embeddings.weight = self.output.weight
        self.register_buffer("freqs_cos", freqs_cos, persistent=False)
`;
    const tensors: Tensor[] = [
      { name: 'tok_embeddings.weight', shape: [512, 64] },
      ...[0, 1].flatMap((layer) => [
        { name: `layers.${layer}.attention.wq.weight`, shape: [64, 64] },
        { name: `layers.${layer}.attention.wo.weight`, shape: [64, 64] },
        { name: `layers.${layer}.attention_norm.weight`, shape: [64] },
      ]),
      { name: 'norm.weight', shape: [64] },
      { name: 'freqs_cos', shape: [128, 4] },
    ];
    const expected = ['layers.0.attention.wq.weight', 'layers.1.attention.wq.weight'];
    assert.deepEqual(await hovered(mark(source, 'self.wq'), tensors), expected);
    assert.deepEqual(await hovered(mark(source, 'self.tok_embeddings'), tensors), ['tok_embeddings.weight']);
  });
});

describe('a file about another model', () => {
  it('has no hovers for parts that look alike', async () => {
    const vision = `${ATTENTION}
class VisionLayer(nn.Module):
    def __init__(self, c):
        self.attention = Attention(c)
        self.norm = nn.LayerNorm(c.size)
`;
    assert.deepEqual(await hovered(mark(vision, 'self.q_proj'), llama()), []);
    const beside = `${ATTENTION}
class Unrelated(nn.Module):
    def __init__(self, c):
        self.first = nn.Linear(c.size, 1)
        self.second = nn.Linear(c.size, 1)
`;
    assert.deepEqual(await hovered(mark(beside, 'self.q_proj'), llama()), []);
  });
});
