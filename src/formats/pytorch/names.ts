import type { NamedTensor } from './stateDict.ts';

/** Keys under which training code keeps the weights beside other things. */
const WRAPPERS = new Set(
  'state_dict model_state_dict model_state model module net network weights params params_ema generator state'.split(
    ' ',
  ),
);
/** What wrappers of modules put before every name: DataParallel, torch.compile. */
const PREFIXES = ['module.', '_orig_mod.', '_fsdp_wrapped_module.'];

export interface Named {
  /** All with different names, in the order of the file. */
  readonly tensors: readonly { readonly name: string; readonly tensor: NamedTensor['tensor'] }[];
  readonly remarks: readonly string[];
}

/**
 * Tensors by the names that their state dict has: the way to it in the file is dropped, and so are lone numbers beside it (the best loss so
 * far); both are said.
 */
export function namesOf(found: readonly NamedTensor[]): Named {
  const remarks: string[] = [];
  const beside = soleWrapper(found) === undefined ? [] : found.filter(isLoneNumber);
  if (beside.length) remarks.push(`${beside.length} numbers beside the weights are left out (${beside[0]!.path[0]}).`);
  const left = new Set(beside);
  const tensors = found.filter((tensor) => !left.has(tensor));
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
      remarks.push(`Every name begins with ${JSON.stringify(prefix)}; names are shown without it.`);
      names = names.map((name) => name.slice(prefix.length));
    }
  const different = unique(names);
  return { tensors: tensors.map(({ tensor }, i) => ({ name: different[i]!, tensor })), remarks };
}

function isLoneNumber({ path, tensor }: NamedTensor): boolean {
  return path.length === 1 && tensor.shape.every((size) => size === 1);
}

type Place = Pick<NamedTensor, 'path' | 'keys'>;

/** A module called "model" is an attribute of its parent, or a part of a name; it wraps nothing. */
function isWrapped({ path, keys }: Place): boolean {
  return path.length > 1 && keys > 0 && WRAPPERS.has(path[0]!);
}

/** The one wrapper of the first level. Where there are two (a model and its moving average), names keep them. */
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
