import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { seededRandom } from '../../../src/base/random.ts';
import { testFolder } from '../../unit/formats/folder.ts';
import { f32File, type Values } from '../../unit/formats/safetensorsBytes.ts';
import { analyzed, openInspector } from './inspectorHost.ts';
import { probeMap } from './mapProbe.ts';
import { type PageHarness, startHarness } from './pageHarness.ts';

const PICTURES = 'test-output/screenshots';

const LLAMA = ['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((part) => `self_attn.${part}`);
const GATED = ['gate_proj', 'up_proj', 'down_proj'].map((part) => `mlp.${part}`);

/** The names of a small network that sees, hears and reads, like those of Qwen and Gemma. */
function multimodal(): string[] {
  const stack = (path: string, layers: number, modules: readonly string[]) =>
    Array.from({ length: layers }, (_, layer) => modules.map((module) => `${path}.${layer}.${module}`)).flat();
  return [
    'model.language_model.embed_tokens',
    ...stack('model.language_model.layers', 6, [...LLAMA, ...GATED]),
    'model.visual.patch_embed.proj',
    ...stack('model.visual.blocks', 4, ['attn.qkv', 'attn.proj', 'mlp.linear_fc1', 'mlp.linear_fc2']),
    ...['model.visual.merger.mlp.0', 'model.visual.merger.mlp.2'],
    ...stack('model.audio_tower.conformer', 3, [
      ...LLAMA.slice(0, 3),
      'ffw_layer_start.ffw_layer_1',
      'ffw_layer_start.ffw_layer_2',
    ]),
    'lm_head',
  ];
}

/** The names of a small U-Net of diffusers. */
function unet(): string[] {
  const attention = ['attn1.to_q', 'attn1.to_k', 'attn1.to_out.0', 'attn2.to_q', 'ff.net.0.proj', 'ff.net.2'];
  const block = (path: string, transformers: number) => [
    ...[0, 1].flatMap((k) => [`${path}.resnets.${k}.conv1`, `${path}.resnets.${k}.conv2`]),
    ...Array.from({ length: transformers }, (_, k) =>
      attention.map((module) => `${path}.attentions.0.transformer_blocks.${k}.${module}`),
    ).flat(),
  ];
  return [
    'conv_in',
    'time_embedding.linear_1',
    ...[0, 1, 2].flatMap((k) => block(`down_blocks.${k}`, k)),
    ...block('mid_block', 2),
    ...[0, 1, 2].flatMap((k) => block(`up_blocks.${k}`, 2 - k)),
    'conv_out',
  ];
}

/** A checkpoint of these names, whose matrices lose rank with their place in the file. */
function checkpoint(names: readonly string[]): Buffer {
  const random = seededRandom(5);
  const size = 24;
  const matrix = (rank: number): Values => {
    const [left, right] = [0, 1].map(() => Float64Array.from({ length: size * rank }, () => random.normal()));
    const values = Array.from({ length: size * size }, (_, at) => {
      let sum = 0.1 * random.normal();
      for (let k = 0; k < rank; k++) sum += left![Math.floor(at / size) * rank + k]! * right![(at % size) * rank + k]!;
      return sum;
    });
    return { shape: [size, size], values };
  };
  return f32File(Object.fromEntries(names.map((name, k) => [`${name}.weight`, matrix(4 + ((k * 7) % 18))] as const)));
}

describe('networks with several stacks of layers', function () {
  this.timeout(120_000);
  const folder = testFolder();
  let harness: PageHarness;
  before(async () => {
    mkdirSync(PICTURES, { recursive: true });
    harness = await startHarness();
  });

  it('show each layer of each stack in a row of its own, on wide and narrow pages', async () => {
    const { snapshot } = await analyzed(folder.write('multimodal.safetensors', checkpoint(multimodal())));
    for (const [theme, width] of [
      ['dark', 1280],
      ['light', 640],
    ] as const) {
      const { page, assertNoFaults, close } = await openInspector(harness, snapshot, { theme, width, height: 900 });
      await page.locator('.map canvas').first().waitFor();
      const rows = new Map<number, Set<string>>();
      for (const { y, lines } of await probeMap(page, 60, 60)) {
        const stack = /visual|audio|language/.exec(lines[0] ?? '');
        const layer = /(?:blocks|conformer|layers)\.(\d+)/.exec(lines[0] ?? '');
        if (stack && layer) rows.set(y, (rows.get(y) ?? new Set()).add(`${stack[0]} ${layer[1]}`));
      }
      const seen = [...rows].sort(([a], [b]) => a - b).map(([, row]) => [...row].join(' and '));
      assert.deepEqual(
        [...new Set(seen)],
        [
          ...[0, 1, 2, 3].map((layer) => `visual ${layer}`),
          ...[0, 1, 2].map((layer) => `audio ${layer}`),
          ...[0, 1, 2, 3, 4, 5].map((layer) => `language ${layer}`),
        ],
      );
      assert.match(await page.locator('dl.facts').innerText(), /13 \(vision 4, audio 3, text 6\)/);
      await page.screenshot({ path: `${PICTURES}/stacks-${theme}-${width}.png` });
      await assertNoFaults();
      await close();
    }
  });

  it('include the blocks of a U-Net', async () => {
    const { snapshot } = await analyzed(folder.write('unet.safetensors', checkpoint(unet())));
    const { page, assertNoFaults, close } = await openInspector(harness, snapshot, { width: 1280, height: 900 });
    await page.locator('.map canvas').first().waitFor();
    const stacks = new Set((snapshot.checkpoint?.matrices ?? []).map(({ stack }) => stack));
    assert.ok(stacks.has('down_blocks') && stacks.has('up_blocks'), [...stacks].join());
    await page.screenshot({ path: `${PICTURES}/stacks-unet.png` });
    await assertNoFaults();
    await close();
  });
});
