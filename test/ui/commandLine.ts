import { execFileSync } from 'node:child_process';

/** What `rankscope analyze --json --values` says of a matrix. */
export interface AnalyzedMatrix {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly effectiveRank: number;
  readonly breakEvenRank: number;
  readonly singularValues: readonly number[];
}

/** The analysis of a checkpoint by the command line: the same numbers by another way to the same engine. */
export function analyzed(checkpoint: string): readonly AnalyzedMatrix[] {
  const output = execFileSync(
    process.execPath,
    ['dist/cli.js', 'analyze', checkpoint, '--json', '--values', '--no-cache'],
    {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    },
  );
  return (JSON.parse(output) as { matrices: AnalyzedMatrix[] }).matrices;
}
