import { Worker } from 'node:worker_threads';
import type { MessageConnection } from 'vscode-jsonrpc';
import { RankscopeError } from '../base/errors.ts';
import { takeTurns } from '../base/turns.ts';
import type { CodeCalls, FindingInCode } from '../code/codeCalls.ts';
import type { SourceText } from '../code/codeModel.ts';
import type { GrammarFiles } from '../code/pythonParser.ts';
import { threadPort } from '../code/threadPort.ts';
import type { MatrixFinding } from '../model/findings.ts';
import { request } from '../protocol/calls.ts';
import { connectionOver } from '../protocol/port.ts';
import { Emitter } from './emitter.ts';
import type { Session } from './sessions/session.ts';

export interface CodeProgram {
  /** The bundle that the thread runs: `dist/codeWorker.cjs`. */
  readonly script: string;
  readonly grammar: GrammarFiles;
  readonly log: (line: string) => void;
}

/** Findings that are told at once. */
const TOLD_AT_ONCE = 500;
const SLICE_MS = 4;

/**
 * The thread that understands code, as the extension host sees it. It is started by the first call, and told once of each text and
 * checkpoint; after it failed, the next call starts another, which knows nothing yet.
 */
export class CodeThread {
  /** What the thread was told is gone. */
  readonly ended = new Emitter<void>();
  private running: { readonly worker: Worker; readonly connection: MessageConnection } | undefined;
  /** Versions of the texts that the thread has. */
  private readonly texts = new Map<string, number>();
  private readonly sessions = new Map<Session, { readonly told: Promise<void>; readonly off: () => void }>();

  constructor(private readonly program: CodeProgram) {}

  call<Name extends keyof CodeCalls>(
    name: Name,
    params: CodeCalls[Name]['params'],
  ): Promise<CodeCalls[Name]['result']> {
    this.running ??= this.start();
    const gone = (cause: unknown) =>
      new RankscopeError(
        'engine',
        'ranks in code',
        'the thread that reads code has ended',
        'See the log of Rankscope',
        {
          cause,
        },
      );
    return request(this.running.connection, name, params, undefined, gone);
  }

  /** Tells the thread of a text, where it has another version of it or none. */
  know(source: SourceText): void {
    if (this.texts.get(source.key) === source.version) return;
    this.tell('text', source);
    this.texts.set(source.key, source.version);
  }

  edit(edits: CodeCalls['edit']['params']): void {
    if (this.texts.has(edits.key)) this.tell('edit', edits);
  }

  close(key: string): void {
    if (this.texts.delete(key)) this.tell('close', { key });
  }

  /** Tells the thread of a checkpoint, and from then on of all that is found in it. */
  follow(session: Session): Promise<void> {
    const known = this.sessions.get(session);
    if (known) return known.told;
    const offUpdates = session.updates.on(({ checkpoint, findings }) => {
      if (checkpoint) void this.tellAll(session);
      else if (findings) this.tell('findings', { path: session.path, findings: findings.map(inCode) });
    });
    const offResets = session.resets.on(() => void this.tellAll(session));
    const off = () => {
      offUpdates();
      offResets();
    };
    const told = this.tellAll(session);
    this.sessions.set(session, { told, off });
    return told;
  }

  /** Forgets the checkpoints that are no longer among `sessions`. */
  followOnly(sessions: readonly Session[]): void {
    for (const [session, { off }] of this.sessions) {
      if (sessions.includes(session)) continue;
      off();
      this.sessions.delete(session);
      this.tell('forget', { path: session.path });
    }
  }

  dispose(): void {
    const worker = this.running?.worker;
    this.forget();
    void worker?.terminate();
  }

  // The live list is gone through: what changes meanwhile is told as it is then, never as it was.
  private async tellAll({ path, view, findings }: Session): Promise<void> {
    if (!view) return;
    const { format, tensors, matrices, metadata } = view;
    this.tell('checkpoint', { path, view: { format, tensors, matrices, metadata } });
    const turn = takeTurns(SLICE_MS);
    let some: FindingInCode[] = [];
    for (const finding of findings) {
      some.push(inCode(finding));
      if (some.length < TOLD_AT_ONCE) continue;
      this.tell('findings', { path, findings: some });
      some = [];
      await turn();
    }
    this.tell('findings', { path, findings: some });
  }

  private tell<Name extends keyof CodeCalls>(name: Name, params: CodeCalls[Name]['params']): void {
    // A thread that ended is told of everything anew when it is asked again.
    this.call(name, params).catch(() => undefined);
  }

  private start() {
    const { script, grammar, log } = this.program;
    const worker = new Worker(script, { workerData: grammar, stdout: true, stderr: true });
    for (const stream of [worker.stdout, worker.stderr]) stream.setEncoding('utf8').on('data', log);
    const connection = connectionOver(threadPort(worker));
    connection.listen();
    const end = (reason: string) => {
      if (this.running?.worker !== worker) return;
      log(`The thread that reads code has ended: ${reason}`);
      this.forget();
    };
    worker.on('error', (error) => end(error.stack ?? error.message));
    worker.on('exit', (code) => end(`exit code ${code}`));
    worker.unref();
    return { worker, connection };
  }

  private forget(): void {
    this.running?.connection.dispose();
    this.running = undefined;
    this.texts.clear();
    for (const { off } of this.sessions.values()) off();
    this.sessions.clear();
    this.ended.fire();
  }
}

function inCode(finding: MatrixFinding): FindingInCode {
  const { name, shape, provenance, effectiveRank, energyRanks, breakEvenRank } = finding;
  return { name, shape, provenance, effectiveRank, energyRanks, breakEvenRank };
}
