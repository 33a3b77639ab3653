import { Session as Inspector, type Profiler, type Runtime } from 'node:inspector';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { recordTraffic, type Traffic } from './hostTraffic.ts';

/** What this extension host did while it was recorded; times in milliseconds. */
export interface HostRecord {
  /** Delays of a timer, whatever held the loop: this extension, VS Code, or another process that had the processor. */
  readonly usual: number;
  readonly rare: number;
  readonly longest: number;
  /** The stretches for which this extension held the loop without a pause, the longest first. */
  readonly own: readonly Stretch[];
  readonly traffic: Traffic;
}

export interface Stretch {
  /** Processor time. */
  readonly ms: number;
  /** The stack that took most of it, the outermost function first. */
  readonly where: string;
}

const INTERVAL_US = 250;
/** A sample that is later than this came late because another process had the processor. */
const LATE_US = 3 * INTERVAL_US;
/** How often a timer notes that the loop turned, where nothing holds it. */
const TICK_MS = 2;

/** Records this extension host until `stop` is called. */
export async function recordHost(): Promise<{ stop(): Promise<HostRecord> }> {
  const inspector = new Inspector();
  inspector.connect();
  const post = promisify(inspector.post.bind(inspector)) as (method: string, parameters?: object) => Promise<unknown>;
  await post('Profiler.enable');
  await post('Profiler.setSamplingInterval', { interval: INTERVAL_US });
  await post('Profiler.start');
  const ticks: Tick[] = [tick()];
  const timer = setInterval(() => ticks.push(tick()), TICK_MS);
  const delay = monitorEventLoopDelay({ resolution: TICK_MS });
  delay.enable();
  const messages = recordTraffic();
  return {
    async stop() {
      delay.disable();
      const traffic = messages.stop();
      clearInterval(timer);
      ticks.push(tick());
      const { profile } = (await post('Profiler.stop')) as { profile: Profiler.Profile };
      inspector.disconnect();
      const [usual, rare, longest] = [delay.percentile(50), delay.percentile(99), delay.max].map((ns) => ns / 1e6);
      return { usual: usual!, rare: rare!, longest: longest!, own: ownStretches(profile, ticks), traffic };
    },
  };
}

/** A turn of the event loop: when it was, and the processor time of this thread until then, both in microseconds. */
interface Tick {
  readonly at: number;
  readonly cpu: number;
}

/** Older Nodes tell the time of the whole process only, which is more. */
const cpuUsage: () => NodeJS.CpuUsage =
  (process as { threadCpuUsage?: () => NodeJS.CpuUsage }).threadCpuUsage?.bind(process) ??
  process.cpuUsage.bind(process);

function tick(): Tick {
  const { user, system } = cpuUsage();
  return { at: Number(process.hrtime.bigint() / 1000n), cpu: user + system };
}

/**
 * Consecutive samples with something of this extension on the stack: its own functions, or Node's for messages from its
 * engine process and its thread. VS Code's own work is left out, also on this extension's data, and so is garbage
 * collection, whose time nobody chooses. A tick ends a stretch: the loop turned there, even if no sample fell between
 * two turns. A thread that waits for a lock or for the processor is sampled too: no stretch is longer than the
 * processor time between the ticks around it.
 */
function ownStretches(profile: Profiler.Profile, ticks: readonly Tick[]): Stretch[] {
  const { nodes, samples = [], timeDeltas = [], startTime } = profile;
  const stacks = stacksOf(nodes);
  const stretches: Stretch[] = [];
  let current: { from: number; us: number; byStack: Map<string, number> } | undefined;
  let at = startTime;
  let tick = 0;
  const end = () => {
    if (!current) return;
    const [where = ''] = [...current.byStack].sort((a, b) => b[1] - a[1])[0] ?? [];
    stretches.push({ ms: Math.min(current.us, cpuAround(ticks, current.from, at)) / 1000, where });
    current = undefined;
  };
  for (const [index, id] of samples.entries()) {
    at += timeDeltas[index] ?? 0;
    for (; (ticks[tick]?.at ?? Infinity) <= at; tick++) end();
    const stack = stacks.get(id) ?? [];
    if (stack[0]?.functionName === '(garbage collector)') continue;
    if (!stack.some(isOwn)) {
      end();
      continue;
    }
    current ??= { from: at, us: 0, byStack: new Map() };
    const us = Math.min(timeDeltas[index + 1] ?? 0, LATE_US);
    const text = stack.map(({ functionName, lineNumber }) => `${functionName || '?'}:${lineNumber + 1}`).join(' > ');
    current.us += us;
    current.byStack.set(text, (current.byStack.get(text) ?? 0) + us);
  }
  end();
  return stretches.sort((a, b) => b.ms - a.ms);
}

const isOwn = ({ url, functionName }: Runtime.CallFrame): boolean =>
  /\bextension\.cjs$/.test(url) || functionName === 'channel.onread';

function cpuAround(ticks: readonly Tick[], from: number, to: number): number {
  const before = ticks.findLast(({ at }) => at <= from) ?? ticks[0]!;
  const after = ticks.find(({ at }) => at >= to) ?? ticks.at(-1)!;
  return after.cpu - before.cpu;
}

/** The stack of each node, the outermost function first. */
function stacksOf(nodes: readonly Profiler.ProfileNode[]): ReadonlyMap<number, readonly Runtime.CallFrame[]> {
  const stacks = new Map<number, readonly Runtime.CallFrame[]>();
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const visit = ({ id, children = [] }: Profiler.ProfileNode, above: readonly Runtime.CallFrame[]) => {
    stacks.set(id, above);
    for (const child of children) {
      const node = byId.get(child);
      if (node) visit(node, [...above, node.callFrame]);
    }
  };
  const [root] = nodes;
  if (root) visit(root, []);
  return stacks;
}
