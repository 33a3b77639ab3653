import assert from 'node:assert/strict';
import { type Mark, placeMarks, sampledIndices } from '../../../webview/charts/marks.ts';

describe('sampled indices', () => {
  it('cover a short curve completely', () => assert.deepEqual(sampledIndices(5), [0, 1, 2, 3, 4]));

  it('of a long curve are few and ascending, with both ends and the whole head', () => {
    const indices = sampledIndices(100_000);
    assert.ok(indices.length <= 1600);
    assert.equal(indices[0], 0);
    assert.equal(indices.at(-1), 99_999);
    for (let i = 1; i < indices.length; i++) assert.ok(indices[i]! > indices[i - 1]!);
    for (let i = 0; i < 10; i++) assert.ok(indices.includes(i), `value ${i + 1} of the head`);
  });
});

const mark = (name: string, rank: number, percent?: number): Mark => ({
  name,
  rank,
  color: 'red',
  dash: [],
  ...(percent === undefined ? {} : { percent }),
});

describe('marks', () => {
  const labels = (marks: readonly Mark[], positions: readonly number[]) =>
    placeMarks(marks, positions, 50, 450).map(({ label }) => label);

  it('far apart have a line and a label each, on the left', () => {
    const placed = placeMarks([mark('break-even', 40), mark('90 %', 20, 90)], [300, 200], 50, 450);
    assert.deepEqual(
      placed.map(({ line, label, shift }) => [line, label, shift < 0]),
      [
        [true, 'break-even 40', true],
        [true, '90 % 20', true],
      ],
    );
  });

  it('of energy at the same rank share a line and a label, which stays right of the axis', () => {
    const marks = [mark('95 %', 1, 95), mark('99 %', 1, 99), mark('90 %', 1, 90), mark('99.9 %', 3, 99.9)];
    const placed = placeMarks(marks, [51, 51, 51, 52], 50, 450);
    assert.deepEqual(placed.map(({ label }) => label).filter(Boolean), ['90–99.9 % 1–3']);
    assert.equal(placed.filter(({ line }) => line).length, 1);
    assert.ok(placed.every(({ label, shift }) => label === '' || shift > 0));
  });

  it('that collide have labels on both sides, and the least important has none', () => {
    const marks = [mark('break-even', 40), mark('95 %', 42, 95), mark('numerical', 41)];
    assert.deepEqual(labels(marks, [300, 306, 303]), ['break-even 40', '95 % 42', '']);
  });

  it('never overlap, cross a line or leave the chart', () => {
    for (let seed = 1; seed < 400; seed++) {
      const at = (k: number) => 50 + ((seed * 7919 * (k + 1) * (k + 3)) % 401);
      const energy = [0, 1, 2, 3].map(at).sort((a, b) => a - b);
      const marks = [
        mark('break-even', 1),
        ...[90, 95, 99, 99.9].map((percent) => mark('e', 1, percent)),
        mark('n', 1),
      ];
      const positions = [at(4), ...energy, at(5)];
      const placed = placeMarks(marks, positions, 50, 450);
      const centers = placed.flatMap(({ label, shift }, index) => (label ? [positions[index]! + shift] : []));
      const lines = placed.flatMap(({ line }, index) => (line ? [positions[index]!] : []));
      for (const [index, center] of centers.entries()) {
        assert.ok(center >= 56 && center <= 444, `seed ${seed}`);
        assert.ok(
          centers.every((other, k) => k === index || Math.abs(other - center) >= 12),
          `seed ${seed}`,
        );
      }
      for (const line of lines)
        assert.ok(
          centers.every((center) => Math.abs(center - line) >= 6),
          `seed ${seed}`,
        );
    }
  });
});
