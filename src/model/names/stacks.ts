import { dotted, withoutParameter } from './namePath.ts';
import type { Template } from './template.ts';

/** Which number of a template is the layer, and the path before and after it. */
export interface Split {
  /** Index among the template's numbers; null outside any stack, and in a stack of one block without a number. */
  readonly layerAt: number | null;
  /** Index of the first number of `rest`. */
  readonly restAt: number;
  /** The whole path of the stack, wrappers included, e.g. `model.encoder.block`; '' outside. */
  readonly stack: string;
  /** e.g. `attention.self.query`, or the path outside, without wrappers. */
  readonly rest: string;
}

/**
 * Finds the number in each name that counts layers. A number counts layers where a stack of blocks is:
 * 1. it follows a word such as `layers`, and a module follows it (`layers.3.mlp.up_proj`; `bbox_embed.layers.2` is the
 *    third matrix of an MLP);
 * 2. or, whatever the word, it takes several values and modules follow it (`conformer.3.attn.q_proj`), unless it
 *    numbers experts;
 * 3. or it follows such a word within a part of the name (`encoder_layer_3.mlp`, `double_blocks_3_img_attn_qkv`);
 * 4. or no name of the checkpoint fits 1 to 3: then the last number that varies (`features.0`, `features.3`).
 * The first number that fits the first of these wins. In a hierarchy (`stages.2.blocks.5`, `block.2.5`), the blocks are
 * the layers and each stage is a stack of its own. The block in the middle of a U-Net (`mid_block`) is a stack of one.
 */
export function findStacks(templates: readonly Template[]): ReadonlyMap<Template, Split> {
  const names = templates.map((template) => new Numbers(template));
  const known = names.filter((name) => name.template.isMatrix && !name.inTheMiddle());
  const varying = new Set(known.flatMap((name) => name.all().filter(name.varies).map(name.upTo)));
  const inside = new Map<Numbers, number>();
  for (const name of known) {
    const at = name.ofStack(varying);
    if (at !== undefined) inside.set(name, at);
  }
  const stacks = new Set([...inside].map(([name, at]) => name.upTo(at)));
  const stages = new Set(
    [...inside].filter(([name, at]) => name.isStage(at) && varying.has(name.upTo(at + 1))).map(([n, at]) => n.upTo(at)),
  );
  return new Map(
    names.map((name) => {
      let at = inside.get(name) ?? name.all().find((k) => stacks.has(name.upTo(k)));
      if (at === undefined && stacks.size === 0) at = name.all().findLast(name.varies);
      // What is in a stage beside its blocks is in no layer, such as the downsampling between two stages.
      if (at !== undefined && stages.has(name.upTo(at))) at = name.isStage(at) ? at + 1 : name.stackAfter(at);
      return [name.template, name.inTheMiddle() ?? name.splitAt(at)] as const;
    }),
  );
}

/** Words that name a stack of layers if a number follows. */
const STACK_WORD = /(?:(?:layers?|blocks?|stages?)\d*|blk|(?:^|[._])(?:h|up|down))$/;
/** Longest of these words with what is around it. */
const LONGEST_WORD = 16;
/** Words that name a stage, or may, if another number follows soon. */
const STAGE = /(?:^|\.)(?:layers?|blocks?|stages?|levels?|features)$/;
/** What is between the number of a stage and that of a block in it. */
const BLOCK_OF_STAGE = /^\.(?:(?:blocks|layers?)\.)?$/;
/** Numbers that count other things than layers. */
const OTHER_COUNT = /(?:^|[._])(?:experts?|heads|codebooks?)$/;
/** What remains of a module's own parameter behind the number: `0`, `0.lora_A` and `0.1` are no blocks. */
const NO_MODULE =
  /^(?:\.#)*(?:\.(?:base_layer|lora_\w+(?:\.\w+)?|parametrizations\.\w+\.original\d*|weight_\w+|bias))?$/;

/** `mid_block.resnets.1.conv1` of diffusers, also flat, and `mid.block_1.conv1` of older autoencoders. */
const MIDDLE =
  /^((?:.*[._])?mid_block(?=[._](?:attentions|resnets|motion_modules))|(?:.*\.)?mid(?=\.(?:block|attn)_))[._](.+)$/;

/** The numbers of one template, and the text around each. */
class Numbers {
  private readonly path: string;
  private readonly marks: readonly number[];

  constructor(readonly template: Template) {
    this.path = withoutParameter(dotted(template.name));
    this.marks = template.low.length === 0 ? [] : [...this.path.matchAll(/#/g)].map(({ index }) => index);
  }

  all(): number[] {
    return this.marks.map((_, k) => k);
  }

  readonly varies = (k: number): boolean => this.template.low[k]! < this.template.high[k]!;

  /** The path up to the number, without it. */
  readonly upTo = (k: number): string => this.path.slice(0, this.marks[k]);

  /** The number that counts the layers of a stack of blocks; undefined without one. */
  ofStack(varying: ReadonlySet<string>): number | undefined {
    const counts = (k: number) => !OTHER_COUNT.test(this.wordBefore(k)) && !NO_MODULE.test(this.after(k));
    return (
      this.stackAfter(-1) ??
      this.all().find((k) => this.isPart(k) && counts(k) && varying.has(this.upTo(k))) ??
      this.all().find((k) => this.countsBlocks(k))
    );
  }

  /** The next number that counts the blocks of a stack; undefined without one. */
  stackAfter(k: number): number | undefined {
    return this.all().find((next) => next > k && this.isPart(next) && this.countsBlocks(next));
  }

  /** Whether the number may count stages, each a stack of the blocks that the next number counts. */
  isStage(k: number): boolean {
    const next = this.marks[k + 1];
    if (next === undefined || NO_MODULE.test(this.after(k + 1)) || !STAGE.test(this.wordBefore(k))) return false;
    return BLOCK_OF_STAGE.test(this.path.slice(this.marks[k]! + 1, next));
  }

  splitAt(k: number | undefined): Split {
    if (k === undefined) return { layerAt: null, restAt: 0, stack: '', rest: this.template.path };
    return { layerAt: k, restAt: k + 1, stack: this.before(k), rest: this.after(k).replace(/^[._]/, '') };
  }

  /** The place in the middle block of a U-Net; undefined elsewhere. */
  inTheMiddle(): Split | undefined {
    const [, stack, rest] = MIDDLE.exec(this.path) ?? [];
    if (stack === undefined || rest === undefined || stack.includes('#')) return undefined;
    return { layerAt: null, restAt: 0, stack, rest };
  }

  /** Whether it follows a word for a stack, and a module follows it. */
  private countsBlocks(k: number): boolean {
    return STACK_WORD.test(this.wordBefore(k)) && !NO_MODULE.test(this.after(k));
  }

  /** The path before the number and its separator. */
  private before(k: number): string {
    return this.upTo(k).replace(/[._]$/, '');
  }

  /** The end of that path, which is long enough for any word that is looked for. */
  private wordBefore(k: number): string {
    const end = this.marks[k]!;
    return this.path.slice(Math.max(0, end - LONGEST_WORD), end).replace(/[._]$/, '');
  }

  private after(k: number): string {
    return this.path.slice(this.marks[k]! + 1);
  }

  /** Whether the number is a whole part of the path. */
  private isPart(k: number): boolean {
    const at = this.marks[k]!;
    return (at === 0 || this.path[at - 1] === '.') && /^(?:\.|$)/.test(this.after(k));
  }
}
