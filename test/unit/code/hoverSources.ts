import { placeClasses } from '../../../src/code/placeClasses.ts';
import { loadPythonParser } from '../../../src/code/pythonParser.ts';
import { pythonTarget } from '../../../src/code/pythonTarget.ts';
import { readClasses } from '../../../src/code/readClasses.ts';
import { matricesUnder, resolveTarget } from '../../../src/code/resolveTarget.ts';
import { TensorTrie } from '../../../src/code/tensorTrie.ts';
import { Universe } from '../../../src/code/universe.ts';

export const parser = loadPythonParser({
  runtime: 'node_modules/web-tree-sitter/web-tree-sitter.wasm',
  python: 'node_modules/@vscode/tree-sitter-wasm/wasm/tree-sitter-python.wasm',
});

export interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** The names of the matrices that a hover shows at the mark `^` in `source`. */
export async function hovered(source: string, tensors: readonly Tensor[]): Promise<string[]> {
  const at = source.indexOf('^');
  const text = source.replace('^', '');
  const before = source.slice(0, at).split('\n');
  const tree = (await parser)(text);
  const row = before.length - 1;
  const target = pythonTarget(tree, row, before.at(-1)!.length);
  if (!target) return [];
  const universe = new Universe([{ classes: readClasses(tree.rootNode), imported: new Map() }]);
  const trie = new TensorTrie(tensors);
  const enclosing = universe.classes.filter(({ lines: [first, last] }) => first <= row && row <= last).at(-1);
  const matrices = tensors.filter(({ shape }) => shape.length === 2);
  const modules = matrices.map(({ name }) => name.replace(/\.weight$/, ''));
  const place = enclosing && placeClasses(universe, trie).get(enclosing);
  const nodes = resolveTarget(target, { trie, modules }, { universe, enclosing, place });
  return matricesUnder(nodes, matrices).map(({ name }) => name);
}

/** The tensors of a LLaMA with `layers` layers under `prefix`, its head tied to its embedding. */
export function llama(layers = 2, prefix = 'model.'): Tensor[] {
  const square = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj'];
  const tall = ['mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj'];
  const norms = ['input_layernorm', 'post_attention_layernorm'];
  const layer = (index: number): Tensor[] => [
    ...square.map((name) => ({ name: `${prefix}layers.${index}.${name}.weight`, shape: [64, 64] })),
    ...tall.map((name) => ({ name: `${prefix}layers.${index}.${name}.weight`, shape: [172, 64] })),
    ...norms.map((name) => ({ name: `${prefix}layers.${index}.${name}.weight`, shape: [64] })),
  ];
  return [
    { name: `${prefix}embed_tokens.weight`, shape: [512, 64] },
    ...Array.from({ length: layers }, (_, index) => layer(index)).flat(),
    { name: `${prefix}norm.weight`, shape: [64] },
  ];
}
