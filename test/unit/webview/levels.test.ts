import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Box, overlap, placeLevels } from '../../../webview/charts/levels.ts';

const area: Box = { left: 60, top: 10, right: 400, bottom: 210 };
const label = { width: 100, height: 16 };
/** An upright label of a mark at the top of the chart. */
const upright = (left: number): Box => ({ left, top: 10, right: left + 16, bottom: 90 });

describe('the labels of levels', () => {
  it('are at the right end above their line by default', () => {
    const [place] = placeLevels([{ ...label, y: 100 }], { area, labels: [], lines: [], curve: [] });
    assert.deepEqual(place, { left: 300, right: 400, top: 83, bottom: 99 });
  });

  it('make room for the labels of marks at either end', () => {
    for (const labels of [[upright(62), upright(80)], [upright(380)], [upright(62), upright(384)]]) {
      const [place] = placeLevels([{ ...label, y: 60 }], { area, labels, lines: [], curve: [] });
      assert.ok(place && labels.every((other) => !overlap(place, other)), JSON.stringify(place));
    }
  });

  it('are crossed by a line only if there is no other place', () => {
    const line = (at: number): Box => ({ ...area, left: at, right: at + 1 });
    const [free] = placeLevels([{ ...label, y: 60 }], { area, labels: [], lines: [line(350)], curve: [] });
    assert.ok(free && free.right <= 350);
    const lines = [100, 180, 260, 340].map(line);
    const [crossed] = placeLevels([{ ...label, y: 60 }], { area, labels: [], lines, curve: [] });
    assert.ok(crossed);
  });

  it('avoid the curve if there is a place without lines and curve', () => {
    const curve = [{ left: 200, top: 40, right: 400, bottom: 120 }];
    const [place] = placeLevels([{ ...label, y: 100 }], { area, labels: [], lines: [], curve });
    assert.ok(place && place.right <= 200, JSON.stringify(place));
  });

  it('are left out if every place is taken', () => {
    const everywhere = [{ left: 60, top: 0, right: 400, bottom: 300 }];
    assert.deepEqual(placeLevels([{ ...label, y: 60 }], { area, labels: everywhere, lines: [], curve: [] }), [
      undefined,
    ]);
  });

  it('never overlap a label or each other, and stay in the chart', () => {
    const levels = fc.array(
      fc.record({ y: fc.integer({ min: -20, max: 240 }), width: fc.integer({ min: 30, max: 200 }) }),
      {
        maxLength: 3,
      },
    );
    const marks = fc.array(fc.integer({ min: 60, max: 384 }), { maxLength: 6 });
    fc.assert(
      fc.property(levels, marks, (asked, lefts) => {
        const labels = lefts.map(upright);
        const placed = placeLevels(
          asked.map((level) => ({ ...level, height: 16 })),
          { area, labels, lines: [], curve: [] },
        ).filter((box) => box !== undefined);
        for (const [index, box] of placed.entries()) {
          assert.ok(
            box.left >= area.left && box.right <= area.right && box.top >= area.top && box.bottom <= area.bottom,
          );
          for (const other of [...labels, ...placed.slice(index + 1)]) assert.ok(!overlap(box, other));
        }
      }),
    );
  });
});
