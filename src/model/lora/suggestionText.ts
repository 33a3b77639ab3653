import { formatWhole } from '../../base/quantities.ts';
import type { LoraSuggestion } from './suggestion.ts';

/** alpha / r of every module, which tutorials set to 2. */
const SCALE = 2;

/** Files that state a suggestion for a tool, by name. */
export function suggestionFiles(suggestion: LoraSuggestion): Readonly<Record<string, string>> {
  return {
    'lora_config.py': explained(suggestion),
    'adapter_config.json': `${JSON.stringify(adapterConfig(suggestion), null, 2)}\n`,
    'axolotl.yaml': axolotl(suggestion),
    'llamafactory.yaml': llamaFactory(suggestion),
  };
}

/** The configuration, and above it the reasons for the ranks. */
function explained(suggestion: LoraSuggestion): string {
  const { path, reasoning, modules, parameters, budget } = suggestion;
  const lines = [
    `LoRA for ${path}: ${formatWhole(parameters)} parameters of ${formatWhole(budget)}.`,
    ...reasoning,
    '',
    ...modules.map(({ name, rank, reason }) => `${name}: rank ${rank}; ${reason}`),
  ];
  // A line break in a name would end the comment.
  const comment = lines.map((line) => `# ${line.replaceAll(/[\r\n]/g, ' ')}`.trimEnd()).join('\n');
  return `${comment}\n\n${loraConfigPython(suggestion)}`;
}

/** adapter_config.json of an adapter that is not trained yet. */
function adapterConfig({ modules, targetModules, uniformRank: r }: LoraSuggestion): Record<string, unknown> {
  const patterns = (scale: number) =>
    Object.fromEntries(
      // PEFT takes the first pattern that a path ends in: longer ones come first, since one may end in another.
      [...modules]
        .sort((a, b) => b.name.length - a.name.length)
        .flatMap(({ name, rank }) => (rank === r ? [] : [[escaped(name), scale * rank]])),
    );
  return {
    peft_type: 'LORA',
    r,
    lora_alpha: SCALE * r,
    target_modules: targetModules,
    rank_pattern: patterns(1),
    alpha_pattern: patterns(SCALE),
    bias: 'none',
  };
}

/** The path as a regular expression, which PEFT matches from the beginning or after a dot to the end. */
function escaped(name: string): string {
  return name.replaceAll(/[\\^$.|?*+()[\]{}]/g, '\\$&');
}

export function loraConfigPython(suggestion: LoraSuggestion): string {
  const { r, lora_alpha, target_modules, rank_pattern, alpha_pattern } = adapterConfig(suggestion);
  const dict = (value: unknown) =>
    Object.entries(value as Record<string, number>)
      .map(([key, number]) => `\n        r"${key}": ${number},`)
      .join('');
  return `from peft import LoraConfig

config = LoraConfig(
    r=${r},
    lora_alpha=${lora_alpha},
    target_modules=${JSON.stringify(target_modules)},
    rank_pattern={${dict(rank_pattern)}
    },
    alpha_pattern={${dict(alpha_pattern)}
    },
)
`;
}

const ONE_RANK = '# One rank for all modules: this tool has no option for the ranks of single ones.';

function axolotl({ uniformRank: r, targetModules }: LoraSuggestion): string {
  const list = targetModules.map((name) => `\n  - ${name}`).join('');
  return `${ONE_RANK}\nadapter: lora\nlora_r: ${r}\nlora_alpha: ${SCALE * r}\nlora_target_modules:${list}\n`;
}

function llamaFactory({ uniformRank: r, targetModules }: LoraSuggestion): string {
  const target = targetModules.join(',');
  return `${ONE_RANK}\nfinetuning_type: lora\nlora_rank: ${r}\nlora_alpha: ${SCALE * r}\nlora_target: ${target}\n`;
}
