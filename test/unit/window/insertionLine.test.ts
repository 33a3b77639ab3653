import assert from 'node:assert/strict';
import { insertionLine } from '../../../src/window/insertionLine.ts';

describe('the line in front of which definitions are inserted', () => {
  for (const [what, text, expected] of [
    ['an empty text', '', 0],
    ['code without imports', 'x = 1\n', 0],
    ['imports', 'import os\nfrom torch import nn\n\n\nclass Model:\n    import re\n', 2],
    [
      'imports over several lines',
      'from torch import (\n    nn,  # layers)\n    Tensor,\n)\nimport os, \\\n    sys\n\nx = 1\n',
      6,
    ],
    [
      'a docstring and comments',
      '#!/usr/bin/env python\n"""One.\n\nimport x\n"""\n# A comment.\nimport os\n\n# Of f.\ndef f(): pass\n',
      7,
    ],
    ['a docstring of one line', "'''One.'''\nx = 1\n", 1],
    ['__future__, which must come first', 'from __future__ import annotations\r\n\r\nx = 1\r\n', 1],
    ['imports after code, which stays below', 'import os\nx = 1\nimport sys\n', 1],
    ['an import that is not finished', 'import os\nfrom x import (\n', 1],
  ] as const)
    it(`is behind the top of ${what}`, () => assert.equal(insertionLine(text), expected));
});
