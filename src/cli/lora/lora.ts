import type { CommandGroup } from '../command.ts';
import { loraCleanCommand } from './clean.ts';
import { loraConvertCommand } from './convert.ts';
import { loraCountCommand } from './count.ts';
import { loraExtractCommand } from './extract.ts';
import { loraInitCommand } from './init.ts';
import { loraMergeCommand } from './merge.ts';
import { loraResizeCommand } from './resize.ts';
import { loraSuggestCommand } from './suggest.ts';

export const loraCommands: CommandGroup = {
  name: 'lora',
  summary: 'LoRA adapters: what they cost, and what can be made of them',
  commands: [
    loraCountCommand,
    loraSuggestCommand,
    loraExtractCommand,
    loraInitCommand,
    loraResizeCommand,
    loraMergeCommand,
    loraConvertCommand,
    loraCleanCommand,
  ],
};
