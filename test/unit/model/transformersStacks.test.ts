import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { anatomy } from '../../../src/model/names/anatomy.ts';
import { tensor } from './tensors.ts';

/** As collectStacks.py writes it. */
interface Architecture {
  readonly stacks: Readonly<Record<string, readonly (readonly [layers: number[], modules: string[]])[]>>;
  readonly outside: readonly string[];
}
const versions = JSON.parse(readFileSync('test/fixtures/names/stacks.json', 'utf8')) as Record<
  string,
  Record<string, Architecture>
>;

/** The names of the stacks of some architectures, in the order of the file. */
const LABELS: Readonly<Record<string, readonly string[]>> = {
  bart: ['encoder', 'decoder'],
  'blip-2': ['vision', 'qformer', 'text'],
  clip: ['text', 'vision'],
  deepseek_vl: ['vision', 'text'],
  gemma3: ['vision', 'text'],
  hubert: ['feature_extractor', 'encoder'],
  idefics3: ['vision', 'text'],
  'kosmos-2': ['text', 'vision'],
  llama4: ['vision', 'text'],
  llava: ['vision', 'text'],
  mllama: ['vision', 'vision.global_transformer', 'text'],
  phi4_multimodal: ['text', 'vision', 'audio'],
  qwen2_5_omni_thinker: ['audio', 'vision', 'text'],
  qwen2_audio: ['audio', 'text'],
  qwen3_vl: ['vision', 'vision.deepstack_merger_list', 'text'],
  resnet: ['stages.0', 'stages.1', 'stages.2', 'stages.3'],
  swin: ['layers.0', 'layers.1', 'layers.2', 'layers.3'],
  t5: ['encoder', 'decoder'],
  whisper: ['encoder', 'decoder'],
};

describe('the layers of networks as the module trees of transformers have them (fixtures/names)', () => {
  it('are listed for more than eighty architectures', () => {
    const all = new Set(Object.values(versions).flatMap((own) => Object.keys(own)));
    assert.ok(all.size > 80, String(all.size));
    assert.deepEqual(
      Object.keys(LABELS).filter((name) => !all.has(name)),
      [],
    );
  });

  for (const [version, architectures] of Object.entries(versions))
    for (const [name, { stacks, outside }] of Object.entries(architectures))
      it(`are found in the names of ${name} (${version})`, () => {
        const truth = new Map<string, { stack: string; layer: number; module: string } | null>(
          outside.map((module) => [`${module}.weight`, null]),
        );
        for (const [stack, groups] of Object.entries(stacks))
          for (const [layers, modules] of groups)
            for (const layer of layers)
              for (const module of modules)
                truth.set([stack, layer, module, 'weight'].filter((part) => part !== '').join('.'), {
                  stack,
                  layer,
                  module,
                });
        const { matrices } = anatomy([...truth.keys()].map((own) => tensor(own, [4, 4])));
        const labels = new Map<string, string | undefined>();
        for (const { name: own, stack, layer, module } of matrices) {
          const right = truth.get(own)!;
          assert.equal(layer, right?.layer ?? null, own);
          if (!right) continue;
          // T5 numbers the sublayers of a block, which adds nothing to their names.
          if (right.module !== '') assert.equal(module, right.module.replace(/^layer\.\d\.(?=[A-Z])/, ''), own);
          assert.equal(labels.get(right.stack) ?? stack, stack, `${own}: one name for ${right.stack}`);
          labels.set(right.stack, stack);
        }
        assert.equal(new Set(labels.values()).size, labels.size, 'a name of its own for each stack');
        assert.equal([...labels.values()].includes(undefined), labels.size === 1, 'none for the only one');
        if (LABELS[name]) assert.deepEqual([...labels.values()], LABELS[name]);
      });
});
