import assert from 'node:assert/strict';
import { pythonLiteral } from '../../../src/write/pythonLiteral.ts';
import { python } from '../formats/python.ts';

const HOSTILE = [
  'plain',
  '"""',
  "'''\n\\",
  '\\"; import os #',
  'tab\there\r\n',
  '\u0000\u001B[31m',
  '\u2028\u2029\u202E\u200B',
  '{0} %s $x $(y)',
  'é ß 日本 😀',
  '\u{E0041}',
];

describe('Python literals', () => {
  it('write null, truth and numbers as Python does', () => {
    assert.equal(pythonLiteral({ a: null, b: true, c: [1, 2.5, -3] }), '{"a": None, "b": True, "c": [1, 2.5, -3]}');
  });

  it('give long lists a line for each item', () => {
    const names = Array.from({ length: 9 }, (_, k) => `model.layers.${k}.weight`);
    assert.equal(pythonLiteral(names), `[\n${names.map((name) => `    "${name}",\n`).join('')}]`);
  });

  it('escape quotes, backslashes, line ends and every character that is not visible', () => {
    for (const text of HOSTILE) {
      const literal = pythonLiteral(text);
      assert.match(literal, /^"(?:[^"\\]|\\["\\]|\\u[0-9a-f]{4}|\\U[0-9a-f]{8})*"$/, literal);
      assert.doesNotMatch(literal, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u, literal);
    }
  });

  it('are read by Python as the values that they stand for', function () {
    const values = { texts: HOSTILE, nested: [{ [HOSTILE[3]!]: null }, [true, false, 1e300, 0.1]] };
    const script = 'import ast, json, sys; print(json.dumps(ast.literal_eval(sys.argv[1])))';
    assert.deepEqual(python(this, [], script, pythonLiteral(values)), values);
  });
});
