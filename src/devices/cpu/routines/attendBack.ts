import type { Span } from '../../networkOperations.ts';
import { Arena, type Task, type Team } from '../team.ts';
import { type AttendArgs, type Part, STATE_BYTES, tileOf } from './attend.ts';
import { type Block, block, multiplyHere, within } from './product.ts';

export interface AttendBackArgs extends Omit<AttendArgs, 'out'> {
  /** Of the attention's outputs. */
  readonly gradient: Block;
  readonly out: Readonly<Record<'query' | 'key' | 'value', Block>>;
}

interface ThreadRoom {
  readonly queries: number;
  readonly gradients: number;
  readonly ofQueries: number;
  readonly scores: number;
  readonly ofScores: number;
  /** 0 where scores are not capped. */
  readonly capped: number;
  readonly states: number;
}

type Shape = Pick<AttendBackArgs, 'heads' | 'keyHeads' | 'headSize' | 'cap' | 'window' | 'spans'>;

function threadRoom(arena: Arena, { heads, keyHeads, headSize, cap, window, spans }: Shape): ThreadRoom {
  const tile = tileOf(heads / keyHeads);
  const rows = tile.heads * tile.queries;
  const longest = spans.reduce((most, { keys }) => Math.max(most, keys), 0);
  const keys = Math.min(longest, window + tile.queries);
  return {
    queries: arena.floats(rows * headSize),
    gradients: arena.floats(rows * headSize),
    ofQueries: arena.floats(rows * headSize),
    scores: arena.floats(rows * keys),
    ofScores: arena.floats(rows * keys),
    capped: cap > 0 ? arena.floats(rows * keys) : 0,
    states: arena.doubles((rows * STATE_BYTES) / 8),
  };
}

/** Bytes of workspace on `threads` threads: some rows of scores for all keys of the longest text. */
export function attendBackRoom(shape: Shape, threads: number): number {
  const arena = new Arena(0);
  threadRoom(arena, shape);
  return threads * arena.end;
}

/** A task for each text and head of keys, because queries add to the gradients of all keys that they see. */
export function attendBack(team: Team, args: AttendBackArgs): void {
  const own = new Arena(args.room + team.id * attendBackRoom(args, 1));
  const room = threadRoom(own, args);
  team.perform(
    args.spans.flatMap((span) =>
      Array.from(
        { length: args.keyHeads },
        (_, keyHead): Task =>
          () =>
            keyHeadBack(team, args, room, span, keyHead),
      ),
    ),
  );
}

function keyHeadBack(team: Team, args: AttendBackArgs, room: ThreadRoom, span: Span, keyHead: number): void {
  const { kernels } = team;
  const { heads, keyHeads, headSize, out } = args;
  for (const matrix of [out.key, out.value]) {
    const own = within(matrix, span.keyRow, keyHead * headSize);
    kernels.clear(span.keys, headSize, own.at, own.ld);
  }
  const group = heads / keyHeads;
  const tile = tileOf(group);
  for (let first = 0; first < span.rows; first += tile.queries)
    for (let head = 0; head < group; head += tile.heads) {
      if (kernels.askedToStop(team.sync)) return;
      const queries = Math.min(tile.queries, span.rows - first);
      const number = Math.min(tile.heads, group - head);
      tileBack(team, args, room, { span, first, queries, head: keyHead * group + head, number, keyHead });
    }
}

/**
 * Computes the weights again, then the gradients of the scores, and adds to those of keys and values (Dao et al., arXiv
 * 2205.14135, algorithm 4, with all keys of a tile at once).
 */
function tileBack(team: Team, args: AttendBackArgs, room: ThreadRoom, part: Part): void {
  const { kernels } = team;
  const { query, key, value, gradient, out, headSize, scale, cap, window } = args;
  const { span, first, queries, head, number, keyHead } = part;
  const count = number * queries;
  const row = span.row + first;
  const ofHead = (address: number, h: number) => address + h * queries * headSize * 4;
  for (let h = 0; h < number; h++)
    for (const [from, to] of [
      [within(query, row, (head + h) * headSize), room.queries],
      [within(gradient, row, (head + h) * headSize), room.gradients],
    ] as const)
      kernels.copy(queries, headSize, from.at, from.ld, ofHead(to, h), headSize);
  const position = span.keys - span.rows + first;
  const start = Math.max(0, position - window + 1);
  const keys = position + queries - start;
  const [q, g, ofQ] = [room.queries, room.gradients, room.ofQueries].map((at) => block(at, headSize)) as Three;
  const [s, ofS] = [block(room.scores, keys), block(room.ofScores, keys)];
  const ofKeys = (matrix: Block) => within(matrix, span.keyRow + start, keyHead * headSize);
  multiplyHere(team, { m: count, n: keys, k: headSize, a: q, b: ofKeys(key), transposeB: true, c: s, alpha: scale });
  if (cap > 0) {
    kernels.rescale(count * keys, s.at, 1, cap);
    kernels.copy(1, count * keys, s.at, 0, room.capped, 0);
  }
  kernels.startQueries(count, room.states);
  kernels.weighScores(count, queries, keys, 0, position - start, window, s.at, room.states, room.ofQueries);
  multiplyHere(team, { m: count, n: keys, k: headSize, a: g, b: ofKeys(value), transposeB: true, c: ofS });
  kernels.scoresBack(count, keys, s.at, ofS.at, room.states, scale, room.capped, cap);
  const add = { m: keys, n: headSize, k: count, transposeA: true, beta: 1 };
  multiplyHere(team, { ...add, a: s, b: g, c: ofKeys(out.value) });
  multiplyHere(team, { ...add, a: ofS, b: q, c: ofKeys(out.key) });
  multiplyHere(team, { m: count, n: headSize, k: keys, a: ofS, b: ofKeys(key), c: ofQ });
  for (let h = 0; h < number; h++) {
    const to = within(out.query, row, (head + h) * headSize);
    kernels.copy(queries, headSize, ofHead(room.ofQueries, h), headSize, to.at, to.ld);
  }
}

type Three = [Block, Block, Block];
