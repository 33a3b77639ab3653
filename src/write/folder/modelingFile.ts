import { RankscopeError } from '../../base/errors.ts';
import { joinPython } from '../pythonParts.ts';
import { autoClasses } from './autoClasses.ts';

/** The file with the classes of a result, in its folder. */
export const MODELING = 'modeling_lowrank.py';

/** What the configuration of the source says of its classes. */
interface Classes {
  /** The path of config.json, for errors. */
  readonly path: string;
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly factors: 2 | 3;
}

/** Code of the model, and the members of config.json that lead to it. */
export interface ModelingFile {
  readonly text: string;
  readonly architectures: readonly string[];
  readonly autoMap: Readonly<Record<string, unknown>>;
  /** Whether the source has code of its own, which the file imports. */
  readonly hasCode: boolean;
}

const PARTS = [
  'own_code',
  'expert_stack',
  'folder_layers',
  'folder_names',
  'folder_apart',
  'folder_merge',
  'folder_stacks',
  'folder_model',
];
/** Stands for the name of the class where the configuration has none. */
const UNNAMED = 'ForCausalLM';
const NAME = /^[A-Za-z_]\w*$/;
const MODULE = MODELING.replace(/\.py$/, '');

/**
 * The modeling file for `from_pretrained(..., trust_remote_code=True)`: classes made of those that the source names,
 * whose layers become low-rank as config.json says.
 * @throws RankscopeError 'unsupported' where the configuration does not say which class opens the model
 */
export function modelingFile({ path, configuration, factors }: Classes): ModelingFile {
  const { model_type: type, architectures, auto_map: map } = configuration;
  const named: unknown = Array.isArray(architectures) ? architectures[0] : undefined;
  const architecture = typeof named === 'string' && NAME.test(named) ? named : undefined;
  if (typeof type !== 'string' || !/^[\w.-]+$/.test(type))
    throw new RankscopeError(
      'unsupported',
      path,
      'it does not name the kind of the model (model_type)',
      'Add it, or write a single file with --out NAME.safetensors and --code NAME.py',
    );
  const own = ownClasses(map, path);
  const made = own.size > 0 ? madeOfOwn(own) : madeOfStock(architecture, type);
  const { imports, body } = joinPython([factors === 2 ? 'folder_two' : 'folder_three', ...PARTS]);
  const auto = Object.keys(made.auto).find((name) => name !== 'AutoModel') ?? 'AutoModel';
  return {
    text: `"""${architecture ?? `A model of type ${type}`} with low-rank layers. Written by Rankscope.

    model = transformers.${auto}.from_pretrained(FOLDER, trust_remote_code=True)

config.json says in \`rankscope\` which layers are low-rank, and their ranks. In all other respects the model is
that of transformers; save_pretrained writes its factors, and a copy of this file.
"""

${[imports, ...made.imports].join('\n')}


${body}


${made.classes.join('\n')}
`,
    architectures: [lowRank(architecture ?? UNNAMED)],
    autoMap: { ...(map as Readonly<Record<string, string>> | undefined), ...made.auto },
    hasCode: own.size > 0,
  };
}

interface Made {
  readonly imports: readonly string[];
  readonly classes: readonly string[];
  readonly auto: Readonly<Record<string, string>>;
}

/**
 * The name of the class with low-rank layers. In save_pretrained, transformers takes every class for a tokenizer that
 * has the word in its name.
 */
function lowRank(name: string): string {
  return `LowRank${name.replaceAll('Tokenizer', 'Tokens')}`;
}

/** Classes made of those of transformers; a configuration that names none is that of a causal language model. */
function madeOfStock(architecture = UNNAMED, type: string): Made {
  const name = lowRank(architecture);
  const stock = architecture === UNNAMED ? 'None' : JSON.stringify(architecture);
  const autos = autoClasses(architecture);
  const [auto] = autos;
  const made = `${name} = low_rank(stock_class(${stock}, ${JSON.stringify(type)}), ${JSON.stringify(auto)}, ${JSON.stringify(type)})`;
  const opened = Object.fromEntries(autos.map((each) => [each, `${MODULE}.${name}`]));
  if (auto === 'AutoModel') return { imports: [], classes: [made], auto: opened };
  const base = `LowRankBase = low_rank(base_class(${name}), "AutoModel", ${JSON.stringify(type)})`;
  return { imports: [], classes: [made, base], auto: { AutoModel: `${MODULE}.LowRankBase`, ...opened } };
}

/** The classes of the source's own code, by the `Auto` classes that open them. */
function ownClasses(map: unknown, path: string): ReadonlyMap<string, readonly [module: string, name: string]> {
  const found = new Map<string, readonly [string, string]>();
  for (const [auto, reference] of Object.entries(map ?? {})) {
    if (!auto.startsWith('AutoModel') || typeof reference !== 'string') continue;
    const [, module, name] = /^([A-Za-z_]\w*)\.([A-Za-z_]\w*)$/.exec(reference) ?? [];
    if (module === undefined || name === undefined)
      throw new RankscopeError(
        'unsupported',
        path,
        `the code of the model is elsewhere (${auto}: ${reference.slice(0, 100)})`,
        'Put its files beside config.json, and name them in auto_map without a repository',
      );
    found.set(auto, [module, name]);
  }
  return found;
}

function madeOfOwn(own: ReadonlyMap<string, readonly [module: string, name: string]>): Made {
  const classes = new Map([...own].map(([auto, [module, name]]) => [name, { module, auto }]));
  return {
    imports: [...classes].map(([name, { module }]) => `from .${module} import ${name}`),
    classes: [...classes].map(([name, { auto }]) => `${lowRank(name)} = low_rank(${name}, ${JSON.stringify(auto)})`),
    auto: Object.fromEntries([...own].map(([auto, [, name]]) => [auto, `${MODULE}.${lowRank(name)}`])),
  };
}
