import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { python } from '../formats/python.ts';

describe('the perplexity of the sample in test/fixtures/texts/stories.json', () => {
  it('is what transformers computes', function () {
    this.timeout(120_000);
    const script = `import runpy; runpy.run_path('test/python/story_perplexity.py', run_name='__main__')`;
    const computed = python(this, ['torch', 'transformers', 'tokenizers', 'safetensors'], script);
    const kept = JSON.parse(readFileSync('test/fixtures/texts/stories.json', 'utf8'));
    const numbers = (value: object): number[] =>
      Object.values(value).flatMap((one) => (typeof one === 'object' ? numbers(one) : [one as number]));
    const [fresh, known] = [numbers(computed as object), numbers(kept)];
    assert.equal(fresh.length, known.length);
    for (const [k, value] of fresh.entries())
      assert.ok(Math.abs(value - known[k]!) <= 2e-4 * Math.abs(known[k]!), `${value} for ${known[k]}`);
  });
});
