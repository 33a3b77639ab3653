import { existsSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';

/** What a command writes: a folder of PEFT, a file, or the two folders of an initialization. */
export type OutForm = 'adapter' | 'file' | 'pair';

/** The file that an adapter of PEFT is opened by inside its folder. */
const IN_FOLDER = /^adapter_model\.(safetensors|bin|pt)$/;

/** The folder or file that a person thinks of: the folder of PEFT in place of the file in it. */
function namedThing(path: string): string {
  return IN_FOLDER.test(basename(path)) && basename(dirname(path)) !== '' ? dirname(path) : path;
}

/** A name beside `path`, made of its own: `style-resized`. */
export function nameFor(path: string, ending: string, form: OutForm): string {
  const own = basename(namedThing(path)).replace(/\.(safetensors|gguf|bin|pt|pth)$/, '');
  return `${own}-${ending}${form === 'file' ? '.safetensors' : ''}`;
}

/** Where a name that was typed leads: beside `path`, unless it is absolute. */
export function placeFor(path: string, name: string): string {
  return isAbsolute(name) ? name : resolve(dirname(namedThing(path)), name);
}

/** Files in the place of a result, which it would replace. */
export function inTheWay(out: string, form: OutForm): string[] {
  const files = {
    adapter: [join(out, 'adapter_model.safetensors'), join(out, 'adapter_config.json')],
    file: [out],
    pair: [join(out, 'adapter'), join(out, 'base')],
  };
  return files[form].filter((file) => existsSync(file));
}

/** Why a name cannot be that of a result; null if it can. */
export function nameProblem(name: string): string | null {
  if (name.trim() === '') return 'Enter a name, or an absolute path';
  return !isAbsolute(name) && name.split(/[\\/]/).includes('..') ? 'Enter an absolute path for another folder' : null;
}
