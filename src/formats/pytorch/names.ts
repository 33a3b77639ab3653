import type { NamedTensor } from './stateDict.ts';

/** Keys under which training code saves the weights beside other data. */
const WRAPPERS = new Set(
  'state_dict model_state_dict model_state model module net network weights params params_ema generator state'.split(
    ' ',
  ),
);
/** Prefixes that module wrappers (DataParallel, torch.compile, FSDP) add to every name. */
const PREFIXES = ['module.', '_orig_mod.', '_fsdp_wrapped_module.'];

export interface Named {
  /** In file order, under unique names. */
  readonly tensors: readonly { readonly name: string; readonly tensor: NamedTensor['tensor'] }[];
  readonly remarks: readonly string[];
}

/**
 * Names tensors as their state dict does. The path to the state dict is dropped, and so are single numbers beside it
 * (such as the best loss so far); remarks say so.
 */
export function namesOf(found: readonly NamedTensor[]): Named {
  const remarks: string[] = [];
  const numbers = soleWrapper(found) === undefined ? [] : found.filter(isLoneNumber);
  if (numbers.length)
    remarks.push(`${numbers.length} numbers beside the weights are left out (${numbers[0]!.path[0]}).`);
  const omitted = new Set(numbers);
  const tensors = found.filter((tensor) => !omitted.has(tensor));
  let places: readonly Place[] = tensors;
  for (;;) {
    const wrapper = soleWrapper(places);
    if (wrapper === undefined) break;
    remarks.push(`The weights are under ${JSON.stringify(wrapper)} in the file; names are shown without it.`);
    places = places.map((place) =>
      isWrapped(place) && place.path[0] === wrapper ? { path: place.path.slice(1), keys: place.keys - 1 } : place,
    );
  }
  let names = places.map(({ path }) => path.join('.'));
  for (const prefix of PREFIXES)
    if (names.length > 1 && names.every((name) => name.startsWith(prefix) && name.length > prefix.length)) {
      remarks.push(`Every name starts with ${JSON.stringify(prefix)}; names are shown without it.`);
      names = names.map((name) => name.slice(prefix.length));
    }
  const distinct = unique(names);
  return { tensors: tensors.map(({ tensor }, i) => ({ name: distinct[i]!, tensor })), remarks };
}

function isLoneNumber({ path, tensor }: NamedTensor): boolean {
  return path.length === 1 && tensor.shape.every((size) => size === 1);
}

type Place = Pick<NamedTensor, 'path' | 'keys'>;

/** A module named "model" does not count as a wrapper: it is an attribute of its parent, or part of a dotted name. */
function isWrapped({ path, keys }: Place): boolean {
  return path.length > 1 && keys > 0 && WRAPPERS.has(path[0]!);
}

/** The only wrapper at the first level. If there are several (a model and its moving average), names keep them. */
function soleWrapper(places: readonly Place[]): string | undefined {
  const wrappers = new Set(places.filter(isWrapped).map(({ path }) => path[0]!));
  return wrappers.size === 1 ? [...wrappers][0] : undefined;
}

function unique(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let candidate = name || 'tensor';
    for (let i = 2; taken.has(candidate); i++) candidate = `${name || 'tensor'} (${i})`;
    taken.add(candidate);
    return candidate;
  });
}
