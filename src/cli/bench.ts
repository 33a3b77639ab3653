import { type Bench, bench } from '../service/devices/bench.ts';
import { BLAS_HELP, COMMON_HELP, type Command, ENGINE, engineOf, type Invocation } from './command.ts';
import { jsonPieces } from './output.ts';
import { table } from './table.ts';

export const benchCommand: Command = {
  name: 'bench',
  usage: '[--json] [--engine NAME] [--threads N] [--blas FILE]',
  summary: 'time and check the engines of this machine, in about a minute',
  help: `  --json              print one JSON object
  --engine NAME       only this engine: cpu, wasm, webgpu or tensorflow
  --threads N         threads of the cpu engine (default: all cores)
${BLAS_HELP}
${COMMON_HELP}

Example:
  rankscope bench`,
  options: { ...ENGINE, json: { type: 'boolean' } },
  takesPath: false,
  async run({ values, terminal, blas }: Invocation): Promise<void> {
    const { engine, threads } = engineOf(values);
    const result = await bench({
      ...(engine === undefined || engine === 'auto' ? {} : { devices: [engine] }),
      ...(threads === undefined ? {} : { threads }),
      blas,
      signal: terminal.signal,
      progress: terminal.progress,
    });
    await terminal.write(values.json === true ? jsonPieces(result) : report(result));
  },
};

const WORK = { values: 'all singular values', preview: 'preview', vectors: '64 with vectors' } as const;

function* report({ results, refused, recommended }: Bench): Generator<string> {
  for (const { engine, times } of results) {
    yield `${engine.name}: ${engine.device}. ${engine.reason}\n`;
    yield* table(
      ['work', 'size', 'seconds', 'error'],
      times.map(({ work, size, seconds, error }) => [
        WORK[work],
        `${size}x${size}`,
        seconds.toFixed(3),
        error.toExponential(1),
      ]),
    );
    yield '\n';
  }
  for (const { name, reason } of refused) yield `${name}: not available: ${reason}\n`;
  yield `Recommended: --engine ${recommended}\n`;
}
