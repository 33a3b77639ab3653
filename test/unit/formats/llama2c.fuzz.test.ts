import { fuzz } from './fuzz.ts';
import { llama2cBytes } from './llama2cBytes.ts';

fuzz('llama2.c', () => ({
  'old.bin': llama2cBytes({ version: 0, ownHead: true }),
  'new.bin': llama2cBytes({ version: 1, ownHead: false }),
  'groups.bin': llama2cBytes({ version: 2, ownHead: true }),
}));
