import assert from 'node:assert/strict';
import { exportName, findingsCsv, spectrumCsv } from '../../../webview/inspector/exportText.ts';
import { finding } from './findings.ts';

/** A reader of RFC 4180, independent of the writer. */
function readCsv(text: string): string[][] {
  const rows: string[][] = [];
  for (const line of text.split('\r\n').slice(0, -1))
    rows.push([...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].slice(0, -1).map(([, cell]) => unquoted(cell!)));
  return rows;
}

const unquoted = (cell: string) => (cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell);

describe('export', () => {
  it('writes one line per matrix, with every number in full', () => {
    const [head, row] = readCsv(findingsCsv([finding('a.weight', { effectiveRank: 16.12345678901234 })]));
    const value = (name: string) => row![head!.indexOf(name)];
    assert.equal(value('name'), 'a.weight');
    assert.equal(Number(value('effectiveRank')), 16.12345678901234);
    assert.equal(value('energyRank0.99'), '25');
    assert.equal(value('alpha'), '');
  });

  it('keeps commas and quotes of a name inside its cell', () => {
    const [, row] = readCsv(findingsCsv([finding('a,"b"')]));
    assert.equal(row![0], 'a,"b"');
  });

  for (const name of ['=HYPERLINK("http://x")', '+1', '-1', '@SUM(A1)'])
    it(`does not let a spreadsheet run the name ${name}`, () => {
      const [, row] = readCsv(findingsCsv([finding(name)]));
      assert.equal(row![0], `'${name}`);
    });

  it('writes a spectrum with indices', () =>
    assert.equal(spectrumCsv([2, 0.5]), 'index,singularValue\r\n1,2\r\n2,0.5\r\n'));

  for (const [path, expected] of [
    ['/a/model.safetensors', 'model.ranks.csv'],
    ['C:\\models\\llama', 'llama.ranks.csv'],
    ['/a/<b> c.gguf', '_b_c.ranks.csv'],
    ['', 'checkpoint.ranks.csv'],
  ] as const)
    it(`suggests ${expected} for "${path}"`, () => assert.equal(exportName(path, 'ranks.csv'), expected));
});
