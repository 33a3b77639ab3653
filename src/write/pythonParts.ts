import type { StoredMatrix } from '../model/storedMatrix.ts';

/** The class that holds two or three factors. Both variants have `down` (rank x in) and `up` (out x rank). */
export const FACTORS: Readonly<Record<2 | 3, string>> = {
  2: `class LowRank(nn.Module):
    """Holds W = B A: lowrank_a (rank x in) and lowrank_b (out x rank). Subclasses define how W is applied."""

    FACTORS = ("lowrank_a", "lowrank_b")
    MARK = ".lowrank_a.weight"

    def __init__(self, layer: nn.Module, rank: int, out_size: int, in_size: int):
        super().__init__()
        like: dict[str, Any] = {"device": layer.weight.device, "dtype": layer.weight.dtype}
        self.lowrank_a = nn.Linear(in_size, rank, bias=False, **like)
        self.lowrank_b = nn.Linear(rank, out_size, bias=False, **like)
        self.bias: nn.Parameter | None = getattr(layer, "bias", None)

    @property
    def down(self) -> Tensor:
        return self.lowrank_a.weight

    @property
    def up(self) -> Tensor:
        return self.lowrank_b.weight

    @property
    def weight(self) -> Tensor:
        """The full matrix, for code that reads it."""
        return self.up @ self.down
`,
  3: `class LowRank(nn.Module):
    """Holds W = U diag(S) V: svd_u (out x rank), svd_s (rank), svd_v (rank x in). Subclasses define how W is applied."""

    FACTORS = ("svd_u", "svd_s", "svd_v")
    MARK = ".svd_v"

    def __init__(self, layer: nn.Module, rank: int, out_size: int, in_size: int):
        super().__init__()
        like: dict[str, Any] = {"device": layer.weight.device, "dtype": layer.weight.dtype}
        self.svd_u = nn.Parameter(torch.empty(out_size, rank, **like))
        self.svd_s = nn.Parameter(torch.empty(rank, **like))
        self.svd_v = nn.Parameter(torch.empty(rank, in_size, **like))
        self.bias: nn.Parameter | None = getattr(layer, "bias", None)

    @property
    def down(self) -> Tensor:
        return self.svd_s[:, None] * self.svd_v

    @property
    def up(self) -> Tensor:
        return self.svd_u

    @property
    def weight(self) -> Tensor:
        """The full matrix, for code that reads it."""
        return self.up @ self.down
`,
};

/** A kind of layer that factors can replace. */
export interface PythonLayer {
  /** Whether it is written for every plan. */
  readonly always?: boolean;
  /** Whether a matrix may belong to a layer of this kind. */
  holds(matrix: StoredMatrix): boolean;
  readonly code: string;
  /** Python: whether `layer` is of this kind. */
  readonly test: string;
  /** Python: returns the layer that replaces it. */
  readonly make: string;
}

export const LAYERS: readonly PythonLayer[] = [
  {
    always: true,
    holds: () => true,
    code: `class LowRankLinear(LowRank):
    """y = B (A x) + bias in place of nn.Linear."""

    def __init__(self, layer: nn.Linear, rank: int):
        super().__init__(layer, rank, layer.out_features, layer.in_features)
        self.in_features, self.out_features = layer.in_features, layer.out_features

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.down), self.up, self.bias)
`,
    test: 'isinstance(layer, nn.Linear)',
    make: '        return LowRankLinear(layer, rank)',
  },
  {
    holds: ({ transposed }) => transposed,
    code: `class LowRankConv1D(LowRank):
    """y = B (A x) + bias in place of the Conv1D of GPT-2, a linear layer that stores its matrix as (in, out)."""

    def __init__(self, layer: nn.Module, rank: int):
        in_size, out_size = layer.weight.shape
        super().__init__(layer, rank, out_size, in_size)
        self.nx, self.nf = in_size, out_size

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, self.down), self.up, self.bias)

    @property
    def weight(self) -> Tensor:
        """The full matrix, stored as (in, out) like that of Conv1D."""
        return (self.up @ self.down).T
`,
    test: 'type(layer).__name__ == "Conv1D" and layer.weight.dim() == 2',
    make: '        return LowRankConv1D(layer, rank)',
  },
  {
    holds: ({ layer, role, tensor }) =>
      tensor.shape.length === 2 && (layer === null || role === 'embedding' || role === 'position'),
    code: `class LowRankEmbedding(LowRank):
    """Looks up rows of B and multiplies them by A, in place of nn.Embedding."""

    def __init__(self, layer: nn.Embedding, rank: int):
        super().__init__(layer, rank, layer.num_embeddings, layer.embedding_dim)
        self.num_embeddings, self.embedding_dim = layer.num_embeddings, layer.embedding_dim

    def forward(self, ids: Tensor) -> Tensor:
        return F.linear(F.embedding(ids, self.up), self.down.T)
`,
    test: 'isinstance(layer, nn.Embedding)',
    make: '        return LowRankEmbedding(layer, rank)',
  },
  {
    holds: ({ tensor }) => tensor.shape.length > 2,
    code: `class LowRankConv(LowRank):
    """A convolution to \`rank\` channels, then one of size 1, in place of nn.Conv1d, nn.Conv2d or nn.Conv3d."""

    def __init__(self, layer: nn.modules.conv._ConvNd, rank: int):
        if layer.groups != 1:
            raise ValueError("a grouped convolution has no low-rank form")
        super().__init__(layer, rank, layer.out_channels, layer.weight[0].numel())
        self.kernel = layer.weight.shape[1:]
        self.convolve = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[len(self.kernel) - 1]
        self.options = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        self.padding_mode = layer.padding_mode
        self.around = layer._reversed_padding_repeated_twice

    def forward(self, x: Tensor) -> Tensor:
        options = self.options
        if self.padding_mode != "zeros":
            x = F.pad(x, self.around, mode=self.padding_mode)
            options = {**options, "padding": 0}
        x = self.convolve(x, self.down.reshape(-1, *self.kernel), **options)
        ones = [1] * (len(self.kernel) - 1)
        return self.convolve(x, self.up.reshape(*self.up.shape, *ones), self.bias)

    @property
    def weight(self) -> Tensor:
        """The full kernel, for code that reads it."""
        return (self.up @ self.down).reshape(-1, *self.kernel)
`,
    test: 'isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d))',
    make: '        return LowRankConv(layer, rank)',
  },
];

export const LOADER = `def load_lowrank(model: nn.Module, path: str | os.PathLike[str], prefix: str = "") -> nn.Module:
    """Puts the factors in \`path\` into \`model\`, in place, and returns it.

    Each layer whose weight is stored as factors is replaced; the rest is loaded unchanged. Weights that layers share stay
    shared. \`prefix\` is prepended to the names in the file, for a model that wraps the saved one.
    Raises KeyError if the file leaves a parameter of the model without values, or contains one that the model lacks.
    """
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    state = {prefix + name: value for name, value in load_file(path).items()}
    ties = {prefix + name: prefix + same for name, same in json.loads(metadata.get("rankscope.ties", "{}")).items()}

    for name in [name.removesuffix(LowRank.MARK) for name in state if name.endswith(LowRank.MARK)]:
        rank = state[name + LowRank.MARK].shape[0]
        twins = [twin.removesuffix(".weight") for twin, same in ties.items() if same == name + ".weight"]
        _replace(model, name, rank, [twin for twin in twins if twin + ".weight" in model.state_dict()])

    expected = model.state_dict(keep_vars=True)
    for name, same in ties.items():
        if name in expected and same in state:
            state[name] = state[same]
    loaded = {id(expected[name]) for name in state if name in expected}
    missing = [name for name, value in expected.items() if name not in state and id(value) not in loaded]
    unknown = [name for name in state if name not in expected]
    if missing or unknown:
        raise KeyError(f"{path} does not fit the model: missing {missing[:5]}, unknown {unknown[:5]}")
    model.load_state_dict(state, strict=False)
    return model


def low_rank(layer: nn.Module, rank: int) -> LowRank:
    """Returns a low-rank layer with the sizes, device and bias of \`layer\`; its factors are yet to be loaded."""
{MAKERS}
    raise TypeError(f"no low-rank form of {type(layer).__name__} is implemented")


def _replace(model: nn.Module, name: str, rank: int, twins: list[str]) -> None:
    """Replaces the layer \`name\`; layers with the same weight, and \`twins\`, are replaced by layers that share the factors."""
    weight = model.get_submodule(name).weight
    modules = list(model.named_modules(remove_duplicate=False))
    sharing = [other for other, module in modules if module._parameters.get("weight") is weight]
    replaced: dict[int, LowRank] = {}
    first: LowRank | None = None
    for other in dict.fromkeys([name, *sharing, *twins]):
        layer = model.get_submodule(other)
        if id(layer) not in replaced:
            replaced[id(layer)] = low = low_rank(layer, rank)
            first = first or low
            for factor in LowRank.FACTORS:
                setattr(low, factor, getattr(first, factor))
        parent, _, child = other.rpartition(".")
        setattr(model.get_submodule(parent), child, replaced[id(layer)])
`;
