import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Encoding } from '../../src/base/encoding.ts';

export type Routine = 'values' | 'vectors' | 'product' | 'triangle' | 'moments' | 'rank' | 'preview' | 'decode';

/** Who computes on the other side: on some processors NumPy's BLAS is faster than torch's. */
export type Peer = 'torch' | 'numpy';

/** A raw matrix in a file that both sides read, in f32 or `encoding`. */
export interface MatrixFile {
  readonly file: string;
  readonly rows: number;
  readonly cols: number;
  readonly encoding?: Encoding;
}

export interface TorchAnswer {
  readonly seconds: number;
  /** Processor seconds of all threads together. */
  readonly cpu: number;
  readonly values: number[];
}

/** torch and NumPy in a process of their own, with as many threads as our side. */
export class TorchSide {
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly lines: AsyncIterator<string>;

  private constructor(python: string, threads: number) {
    const script = fileURLToPath(new URL('./torch_side.py', import.meta.url));
    const env = { ...process.env, OPENBLAS_NUM_THREADS: String(threads) };
    this.child = spawn(python, [script, String(threads)], { env });
    this.child.stderr.pipe(process.stderr);
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  static async start(python: string, threads: number): Promise<{ side: TorchSide; versions: Record<Peer, string> }> {
    const side = new TorchSide(python, threads);
    return { side, versions: (await side.next()) as Record<Peer, string> };
  }

  run(routine: Routine, matrix: MatrixFile, peer: Peer): Promise<TorchAnswer> {
    return this.ask({ routine, peer, ...matrix }) as Promise<TorchAnswer>;
  }

  /** All singular values by LAPACK in f64. */
  async truth(matrix: MatrixFile): Promise<number[]> {
    return ((await this.ask({ routine: 'truth', ...matrix })) as { values: number[] }).values;
  }

  close(): void {
    this.child.stdin.end();
  }

  private ask(question: object): Promise<unknown> {
    this.child.stdin.write(`${JSON.stringify(question)}\n`);
    return this.next();
  }

  private async next(): Promise<unknown> {
    const line = await this.lines.next();
    if (line.done) throw new Error('the Python process ended; its message is above');
    return JSON.parse(line.value);
  }
}
