import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { formatWhole } from '../../base/quantities.ts';
import { attempt } from '../../files/wholeFile.ts';
import type { LoraSuggestion, LoraSuggestRequest } from '../../model/lora/suggestion.ts';
import { loraConfigPython, suggestionFiles } from '../../model/lora/suggestionText.ts';
import { TARGET_SETS } from '../../model/lora/targets.ts';
import {
  COMMON_HELP,
  type Command,
  choiceOf,
  ENGINE,
  ENGINE_HELP,
  engineOf,
  type Invocation,
  numberOf,
  textOf,
} from '../command.ts';
import { refuseExisting, writeTextFile } from '../output.ts';
import { RESULT, showResult } from '../result.ts';
import { digits, shortNames, table } from '../table.ts';

export const loraSuggestCommand: Command = {
  name: 'lora suggest',
  usage: 'PATH [--rank 16] [--targets all-linear] [--activations FILE] [--write FOLDER]',
  summary: 'a rank for each module, and the configuration for PEFT',
  help: `  PATH                the checkpoint of the base model
  --rank R            the budget: as many parameters as rank R in every module (default: 16)
  --targets SET       ${TARGET_SETS.join(', ')} (default: all-linear)
  --activations FILE  statistics of 'rankscope calibrate': ranks follow the spectra of W X
  --write FOLDER      write lora_config.py, adapter_config.json, axolotl.yaml and llamafactory.yaml
  --json              print one JSON object (schema: media/schemas/loraSuggestion.schema.json)
  --out FILE          write the JSON object to FILE as well
  --force             replace files that exist
${ENGINE_HELP}
${COMMON_HELP}

Examples:
  rankscope lora suggest llama/ --rank 16
  rankscope lora suggest llama/ --activations llama.activations.safetensors --write config/`,
  options: {
    ...RESULT,
    ...ENGINE,
    rank: { type: 'string' },
    targets: { type: 'string' },
    activations: { type: 'string' },
    write: { type: 'string' },
  },
  run: suggest,
};

async function suggest(invocation: Invocation): Promise<void> {
  const { path, values, service, terminal } = invocation;
  const { signal, progress } = terminal;
  const rank = numberOf(values, 'rank', { least: 1, most: 1e5, whole: true });
  const targets = choiceOf(values, 'targets', TARGET_SETS);
  const activations = textOf(values, 'activations');
  const folder = textOf(values, 'write');
  const request: LoraSuggestRequest = {
    path,
    ...engineOf(values),
    ...(rank === undefined ? {} : { rank }),
    ...(targets ? { targets } : {}),
    ...(activations === undefined ? {} : { activations }),
  };
  await showResult(invocation, {
    work: async () => {
      const suggestion = await service.loraSuggest(request, { signal, progress });
      if (folder !== undefined) await writeFiles(folder, suggestion, invocation);
      return suggestion;
    },
    report: (suggestion) => report(suggestion, folder),
    inputs: [activations],
  });
}

async function writeFiles(folder: string, suggestion: LoraSuggestion, { values, terminal, path }: Invocation) {
  await attempt(folder, () => mkdir(folder, { recursive: true }));
  const force = values.force === true;
  const files = Object.entries(suggestionFiles(suggestion)).map(([name, text]) => [join(folder, name), text] as const);
  for (const [file] of files) await refuseExisting(file, force, path);
  for (const [file, text] of files) await writeTextFile(file, [text], { force, signal: terminal.signal });
}

function* report(suggestion: LoraSuggestion, folder: string | undefined): Generator<string> {
  const { modules, reasoning, parameters, budget } = suggestion;
  const names = shortNames(modules.map(({ name }) => name));
  yield* table(
    ['module', 'shape', 'effective rank', 'rank'],
    modules.map(({ shape, effectiveRank, rank }, index) => [
      names[index]!,
      shape.join(' x '),
      digits(effectiveRank),
      String(rank),
    ]),
  );
  yield `\n${formatWhole(parameters)} parameters of ${formatWhole(budget)}\n`;
  for (const sentence of reasoning) yield `${sentence}\n`;
  yield folder === undefined ? `\n${loraConfigPython(suggestion)}` : `Written to ${folder}\n`;
}
