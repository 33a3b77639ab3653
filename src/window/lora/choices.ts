import { formatBytes, formatWhole, significant } from '../../base/quantities.ts';
import type { LoraCount } from '../../model/lora/count.ts';
import type { LoraSuggestion } from '../../model/lora/suggestion.ts';
import { loraConfigPython } from '../../model/lora/suggestionText.ts';
import { TARGET_SETS, type TargetSet } from '../../model/lora/targets.ts';

/** What LoRA of one rank costs on one set of modules, as a choice in a list. */
export interface LoraChoice {
  readonly label: string;
  readonly description: string;
  readonly detail: string;
  readonly targets: TargetSet;
  readonly rank: number;
}

/** The sets and ranks of a count; `all-linear` comes first, as papers recommend it. */
export function loraChoices({ rows }: LoraCount): LoraChoice[] {
  const choices = rows.flatMap((row): LoraChoice[] => {
    const targets = TARGET_SETS.find((set) => set === row.targets);
    if (targets === undefined) return [];
    const { rank, parameters, share, trainingBytes, fileBytes, beyondBreakEven } = row;
    const beyond = beyondBreakEven > 0 ? `; in ${beyondBreakEven} modules more than the matrix itself has` : '';
    return [
      {
        label: `${targets}, rank ${rank}`,
        description: `${formatWhole(parameters)} parameters, ${significant(100 * share)} % of the model${beyond}`,
        detail: `${formatBytes(trainingBytes)} for training with Adam in f32, a file of ${formatBytes(fileBytes)}`,
        targets,
        rank,
      },
    ];
  });
  return choices.sort((a, b) => TARGET_SETS.indexOf(b.targets) - TARGET_SETS.indexOf(a.targets));
}

/** A Python file with the suggested configuration, and above it the reasons for the ranks. */
export function suggestionDocument(suggestion: LoraSuggestion): string {
  const { path, reasoning, modules, parameters, budget } = suggestion;
  const lines = [
    `LoRA for ${path}: ${formatWhole(parameters)} parameters of ${formatWhole(budget)}.`,
    ...reasoning,
    '',
    ...modules.map(({ name, rank, reason }) => `${name}: rank ${rank}; ${reason}`),
  ];
  return `${lines.map((line) => `# ${line}`.trimEnd()).join('\n')}\n\n${loraConfigPython(suggestion)}`;
}
