import { Worker } from 'node:worker_threads';
import type { MessageConnection } from 'vscode-jsonrpc';
import { RankscopeError } from '../base/errors.ts';
import { yieldEvery } from '../base/eventLoop.ts';
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
  /** The thread's bundle, `dist/codeWorker.cjs`. */
  readonly script: string;
  readonly grammar: GrammarFiles;
  readonly log: (line: string) => void;
}

/** Findings in one message to the thread. */
const TOLD_AT_ONCE = 500;
const SLICE_MS = 4;

/**
 * The code thread as the extension host sees it. The first call starts it; it is told of each text and checkpoint once.
 * If it fails, the next call starts a new one, which has to be told again.
 */
export class CodeThread {
  /** The thread has ended and lost its state. */
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
      new RankscopeError('engine', 'ranks in code', 'the code thread has ended', 'See the Rankscope log', {
        cause,
      });
    return request(this.running.connection, name, params, undefined, gone);
  }

  /** Tells the thread of a text, unless it has this version. */
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

  /** Tells the thread of a checkpoint, and from then on of every finding in it. */
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

  /** Forgets the checkpoints that are not among `sessions`. */
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

  // Iterates over the live findings, so that what changes meanwhile is told in its new state.
  private async tellAll({ path, view, findings }: Session): Promise<void> {
    if (!view) return;
    const { format, tensors, matrices, metadata } = view;
    this.tell('checkpoint', { path, view: { format, tensors, matrices, metadata } });
    const pause = yieldEvery(SLICE_MS);
    let batch: FindingInCode[] = [];
    for (const finding of findings) {
      batch.push(inCode(finding));
      if (batch.length < TOLD_AT_ONCE) continue;
      this.tell('findings', { path, findings: batch });
      batch = [];
      await pause();
    }
    this.tell('findings', { path, findings: batch });
  }

  private tell<Name extends keyof CodeCalls>(name: Name, params: CodeCalls[Name]['params']): void {
    // A failed thread's successor is told of everything again.
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
      log(`The code thread has ended: ${reason}`);
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
  const { name, shape, provenance, effectiveRank, energyRanks, breakEvenRank, activations: seen } = finding;
  const activations = seen && { effectiveRank: seen.effectiveRank, energyRanks: seen.energyRanks };
  return { name, shape, provenance, effectiveRank, energyRanks, breakEvenRank, ...(activations && { activations }) };
}
