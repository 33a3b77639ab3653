import type { Span } from '../../networkOperations.ts';
import { Arena, type Task, type Team } from '../team.ts';
import { type Block, block, multiplyHere, within } from './product.ts';

/** Causal attention; the heads of a row are side by side. Numbers as in `AttentionOptions`. */
export interface AttendArgs {
  readonly query: Block;
  readonly key: Block;
  readonly value: Block;
  readonly out: Block;
  readonly heads: number;
  readonly keyHeads: number;
  readonly headSize: number;
  readonly scale: number;
  /** 0 for none. */
  readonly cap: number;
  readonly window: number;
  readonly spans: readonly Span[];
  /** `attendRoom` bytes. */
  readonly room: number;
}

/** Rows of scores at a time: those of some queries, for all heads that share keys, up to `HEADS` of them. */
const ROWS = 192;
const HEADS = 8;
const LEAST_QUERIES = 24;
/** Keys at a time, so that a block of scores stays in the L2 cache. */
const KEYS = 512;
/** Of a query: its largest score and the sum of its weights. */
export const STATE_BYTES = 16;

/** Queries and heads of a task. */
export function tileOf(group: number): { heads: number; queries: number } {
  const heads = Math.min(group, HEADS);
  return { heads, queries: Math.max(LEAST_QUERIES, Math.floor(ROWS / heads)) };
}

interface ThreadRoom {
  readonly queries: number;
  readonly scores: number;
  readonly outputs: number;
  readonly states: number;
}

function threadRoom(arena: Arena, group: number, headSize: number): ThreadRoom {
  const { heads, queries } = tileOf(group);
  const rows = heads * queries;
  return {
    queries: arena.floats(rows * headSize),
    scores: arena.floats(rows * KEYS),
    outputs: arena.floats(rows * headSize),
    states: arena.doubles((rows * STATE_BYTES) / 8),
  };
}

/** Bytes of workspace on `threads` threads; they do not depend on the length of the text. */
export function attendRoom(heads: number, keyHeads: number, headSize: number, threads: number): number {
  const arena = new Arena(0);
  threadRoom(arena, heads / keyHeads, headSize);
  return threads * arena.end;
}

export function attend(team: Team, args: AttendArgs): void {
  const { heads, keyHeads, headSize, room } = args;
  const own = new Arena(room + team.id * attendRoom(heads, keyHeads, headSize, 1));
  team.perform(attendTasks(team, args, threadRoom(own, heads / keyHeads, headSize)));
}

/** Those of the last queries first, because they see the most keys. */
function attendTasks(team: Team, args: AttendArgs, room: ThreadRoom): Task[] {
  const { heads, keyHeads, spans } = args;
  const group = heads / keyHeads;
  const tile = tileOf(group);
  const tasks: Task[] = [];
  for (const span of spans)
    for (let end = span.rows; end > 0; end -= tile.queries) {
      const first = Math.max(0, end - tile.queries);
      for (let head = 0; head < heads; ) {
        const keyHead = Math.floor(head / group);
        const number = Math.min(tile.heads, (keyHead + 1) * group - head);
        const part = { span, first, queries: end - first, head, number, keyHead };
        tasks.push(() => attendPart(team, args, room, part));
        head += number;
      }
    }
  return tasks;
}

/** The queries of some heads that share keys: what a thread works on at a time. */
export interface Part {
  readonly span: Span;
  /** The first query, counted from that of the span. */
  readonly first: number;
  readonly queries: number;
  readonly head: number;
  readonly number: number;
  readonly keyHead: number;
}

/** Some queries of some heads that share keys, with online softmax over blocks of keys (kernels/attend.ts). */
function attendPart(team: Team, args: AttendArgs, room: ThreadRoom, part: Part): void {
  const { kernels } = team;
  const { query, key, value, out, headSize, scale, cap, window } = args;
  const { span, first, queries, head, number, keyHead } = part;
  const count = number * queries;
  const row = span.row + first;
  const ofHead = (address: number, h: number) => address + h * queries * headSize * 4;
  for (let h = 0; h < number; h++) {
    const from = within(query, row, (head + h) * headSize);
    kernels.copy(queries, headSize, from.at, from.ld, ofHead(room.queries, h), headSize);
  }
  kernels.startQueries(count, room.states);
  const position = span.keys - span.rows + first;
  const start = Math.max(0, position - window + 1);
  const end = position + queries;
  const [q, o] = [block(room.queries, headSize), block(room.outputs, headSize)];
  for (let seen = start; seen < end; seen += KEYS) {
    const keys = Math.min(KEYS, end - seen);
    const s = block(room.scores, keys);
    const [k, v] = [key, value].map((matrix) => within(matrix, span.keyRow + seen, keyHead * headSize));
    multiplyHere(team, { m: count, n: keys, k: headSize, a: q, b: k!, transposeB: true, c: s, alpha: scale });
    if (cap > 0) kernels.rescale(count * keys, s.at, 1, cap);
    kernels.weighScores(count, queries, keys, headSize, position - seen, window, s.at, room.states, o.at);
    multiplyHere(team, { m: count, n: headSize, k: keys, a: s, b: v!, c: o, beta: seen === start ? 0 : 1 });
  }
  for (let h = 0; h < number; h++) {
    const to = within(out, row, (head + h) * headSize);
    kernels.finishQueries(
      queries,
      headSize,
      room.states + h * queries * STATE_BYTES,
      ofHead(room.outputs, h),
      to.at,
      to.ld,
    );
  }
}
