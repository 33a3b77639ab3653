import { pytorchNameOfGguf } from '../model/names/ggufNames.ts';
import type { MatrixView } from '../protocol/service.ts';
import type { ViewInCode } from './codeCalls.ts';
import { type ClassPlaces, placeClasses } from './placeClasses.ts';
import type { CheckpointNames } from './resolveTarget.ts';
import { TensorTrie } from './tensorTrie.ts';
import type { Universe } from './universe.ts';

export interface NamesInCode extends CheckpointNames {
  /** Every matrix, with its name in the model's code. */
  readonly matrices: readonly { readonly name: string; readonly matrix: MatrixView }[];
}

const known = new WeakMap<ViewInCode, NamesInCode>();

/** The names of a checkpoint as the model's code spells them; indexed once. */
export function namesOf(view: ViewInCode): NamesInCode {
  let names = known.get(view);
  if (!names) {
    const inCode = (name: string) =>
      view.format === 'gguf' ? (pytorchNameOfGguf(name, view.metadata['general.architecture']) ?? name) : name;
    // An adapter's update represents the weight of the adapted layer; its factors are not modules in the model's code.
    const nameOf = ({ name, factors }: MatrixView) => (factors ? `${name}.weight` : inCode(name));
    const matrices = view.matrices.map((matrix) => ({ name: nameOf(matrix), matrix }));
    const updates = matrices.filter(({ matrix }) => matrix.factors);
    const factors = new Set(updates.flatMap(({ matrix }) => matrix.factors ?? []));
    const modules = matrices.map(({ name }) => name.replace(/\.weight$/, ''));
    const tensors = view.tensors
      .filter(({ name }) => !factors.has(name))
      .map(({ name, shape }) => ({ name: inCode(name), shape }))
      .concat(updates.map(({ name, matrix: { shape } }) => ({ name, shape })));
    names = { trie: new TensorTrie(tensors), modules, matrices };
    known.set(view, names);
  }
  return names;
}

const places = new WeakMap<Universe, WeakMap<CheckpointNames, ClassPlaces>>();

/** Where the classes are in the checkpoint; computed once for each state of the code. */
export function placesOf(universe: Universe, names: CheckpointNames): ClassPlaces {
  const byCheckpoint = places.get(universe) ?? new WeakMap<CheckpointNames, ClassPlaces>();
  places.set(universe, byCheckpoint);
  const found = byCheckpoint.get(names) ?? placeClasses(universe, names.trie);
  byCheckpoint.set(names, found);
  return found;
}
