import process from 'node:process';
import manifest from '../../package.json' with { type: 'json' };
import { RankscopeError } from '../base/errors.ts';
import { commandLinePolicy } from '../service/devices/blasPolicy.ts';
import { createService } from '../service/service.ts';
import { analyzeCommand } from './analyze.ts';
import { applyCommand } from './apply.ts';
import { benchCommand } from './bench.ts';
import { cacheFolder } from './cacheFolder.ts';
import { calibrateCommand } from './calibrate.ts';
import { codeCommand } from './code.ts';
import { type Command, type CommandGroup, parseCommand, type Terminal, textOf, UsageError } from './command.ts';
import { compareCommand } from './compare.ts';
import { compressCommand } from './compress.ts';
import { diffCommand } from './diff.ts';
import { evaluateCommand } from './evaluate.ts';
import { generateCommand } from './generate.ts';
import { infoCommand } from './info.ts';
import { interruption } from './interrupt.ts';
import { ConditionsHold } from './judgement/judgement.ts';
import { loraCommands } from './lora/lora.ts';
import { writeAll } from './output.ts';
import { planCommand } from './plan.ts';
import { progressBar } from './progressBar.ts';
import { sharingCommand } from './sharing.ts';
import { trainingCommand } from './training.ts';
import { trialCommand } from './trial.ts';

const COMMANDS: readonly (Command | CommandGroup)[] = [
  analyzeCommand,
  trialCommand,
  planCommand,
  applyCommand,
  compressCommand,
  evaluateCommand,
  calibrateCommand,
  generateCommand,
  codeCommand,
  compareCommand,
  sharingCommand,
  diffCommand,
  trainingCommand,
  loraCommands,
  infoCommand,
  benchCommand,
];

/** Exit codes, as shells and scripts expect them. */
const [DONE, FAILED, WRONG_USE, CONDITION_HOLDS, INTERRUPTED] = [0, 1, 2, 3, 130];

// The reader of the output may close it (`| head`): the pending write reports that, and it must not crash the process.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);
main(process.argv.slice(2)).then(
  // Devices may keep threads running, but all output has been written.
  (code) => process.exit(code),
  (fault: unknown) => {
    process.stderr.write(`rankscope: an unexpected error: ${fault instanceof Error ? fault.stack : String(fault)}\n`);
    process.exit(FAILED);
  },
);

async function main(words: readonly string[]): Promise<number> {
  const [first, ...rest] = words;
  if (first === '--version' || first === '-V') return print(`${manifest.version}\n`);
  if (first === '--help' || first === '-h' || first === 'help') {
    const command = COMMANDS.find(({ name }) => name === rest[0]);
    if (command && isGroup(command)) return print(helpOfGroup(command, rest[1]));
    return print(command ? helpOf(command) : overview());
  }
  const command = COMMANDS.find(({ name }) => name === first);
  if (command && isGroup(command)) return runOneOf(command, rest);
  if (command) return runCommand(command, rest);
  const names = COMMANDS.map(({ name }) => name).join(', ');
  const found = first === undefined ? 'a command is missing' : `unknown command '${first}'`;
  return wrongUse(`${found}: use one of ${names}`, '');
}

function isGroup(command: Command | CommandGroup): command is CommandGroup {
  return 'commands' in command;
}

async function runOneOf(group: CommandGroup, [word, ...rest]: readonly string[]): Promise<number> {
  if (word === '--help' || word === '-h') return print(helpOfGroup(group));
  const command = memberOf(group, word);
  if (command) return runCommand(command, rest);
  const names = group.commands.map(({ name }) => name.slice(group.name.length + 1)).join(', ');
  const found = word === undefined ? `${group.name} needs a second word` : `unknown command '${group.name} ${word}'`;
  return wrongUse(`${found}: use one of ${names}`, `${group.name} `);
}

function memberOf({ name, commands }: CommandGroup, word: string | undefined): Command | undefined {
  return commands.find((each) => each.name === `${name} ${word}`);
}

async function runCommand(command: Command, words: readonly string[]): Promise<number> {
  const bar = progressBar(process.stderr);
  const line = (text: string) => {
    bar.clear();
    process.stderr.write(`rankscope: ${text.replaceAll(/\s*\n\s*/g, ' ')}\n`);
  };
  let service: ReturnType<typeof createService> | undefined;
  const interrupt = interruption(() => {
    line('interrupted');
    process.exit(INTERRUPTED);
  });
  try {
    const { values, paths } = parseCommand(command, words);
    if (values.help === true) return await print(helpOf(command));
    const blas = commandLinePolicy({ option: textOf(values, 'blas'), paths, cacheFolder: cacheFolder() });
    service = createService({
      cacheFolder: cacheFolder(),
      blas,
      warn: line,
      ...(values.verbose === true ? { log: line } : {}),
    });
    const terminal: Terminal = {
      async write(pieces) {
        bar.clear();
        await writeAll(process.stdout, pieces);
      },
      progress: bar.show,
      warn: line,
      signal: interrupt.signal,
    };
    await command.run({ path: paths[0] ?? '', paths, values, terminal, service, blas });
    return DONE;
  } catch (error) {
    bar.clear();
    if (error instanceof UsageError) return wrongUse(error.message, `${command.name} `);
    if (error instanceof ConditionsHold) {
      for (const reason of error.reasons) line(reason);
      return CONDITION_HOLDS;
    }
    if (!(error instanceof RankscopeError)) throw error;
    if (error.code === 'cancelled') {
      line('interrupted');
      return INTERRUPTED;
    }
    line(error.message);
    return error.code === 'wrong-use' ? WRONG_USE : FAILED;
  } finally {
    bar.clear();
    await service?.close();
    interrupt.end();
  }
}

async function print(text: string): Promise<number> {
  await writeAll(process.stdout, [text]);
  return DONE;
}

function wrongUse(what: string, command: string): number {
  process.stderr.write(`rankscope: ${what}. See: rankscope ${command}--help\n`);
  return WRONG_USE;
}

function helpOfGroup(group: CommandGroup, word?: string): string {
  const command = memberOf(group, word);
  if (command) return helpOf(command);
  const width = Math.max(...group.commands.map(({ name }) => name.length)) + 2;
  const list = group.commands.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}\n`).join('');
  return `rankscope ${group.name}: ${group.summary}.\n\n${list}\nrankscope ${group.name} COMMAND --help shows the options of one.\n`;
}

function helpOf({ name, usage, summary, help }: Command): string {
  return `rankscope ${name} ${usage}\n\n${summary[0]?.toUpperCase()}${summary.slice(1)}.\n\n${help}\n`;
}

function overview(): string {
  const list = COMMANDS.map(({ name, summary }) => `  ${name.padEnd(10)}${summary}`).join('\n');
  return `rankscope ${manifest.version}: shows how low-rank the weights of a neural network are, and makes use of it.

${list}

  rankscope COMMAND --help    show the options of a command
  rankscope --version         show this version

Exit codes: 0 done, 1 failed (one line on standard error says why), 2 wrong use, 3 a condition of
--fail-if holds, 130 interrupted.
`;
}
