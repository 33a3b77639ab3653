import type { CheckpointView } from '../../protocol/service.ts';
import { type Places, placeClasses } from './placeClasses.ts';
import type { CheckpointNames } from './resolveTarget.ts';
import { TensorTrie } from './tensorTrie.ts';
import type { Universe } from './universe.ts';

const known = new WeakMap<CheckpointView, CheckpointNames>();

/** The names of a checkpoint, indexed once. */
export function namesOf(view: CheckpointView): CheckpointNames {
  let names = known.get(view);
  if (!names) {
    const modules = view.matrices.map(({ name }) => name.replace(/\.weight$/, ''));
    names = { trie: new TensorTrie(view.tensors), modules };
    known.set(view, names);
  }
  return names;
}

const places = new WeakMap<Universe, WeakMap<CheckpointNames, Places>>();

/** Where the classes lie, found once for each state of the code. */
export function placesOf(universe: Universe, names: CheckpointNames): Places {
  const byCheckpoint = places.get(universe) ?? new WeakMap<CheckpointNames, Places>();
  places.set(universe, byCheckpoint);
  const found = byCheckpoint.get(names) ?? placeClasses(universe, names.trie);
  byCheckpoint.set(names, found);
  return found;
}
