import type { CommandGroup } from '../command.ts';
import { loraCountCommand } from './count.ts';

export const loraCommands: CommandGroup = {
  name: 'lora',
  summary: 'LoRA adapters: what they cost, and what can be made of them',
  commands: [loraCountCommand],
};
