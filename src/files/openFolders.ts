// Whoever wrote the files of an open folder must not decide which programs and libraries run here. A path is refused if
// it, or any link on the way to what it stands for, lies in an open folder: also a link from there to a library of the
// system, because its target may be changed.
import { readlinkSync, realpathSync } from 'node:fs';
import { isAbsolute, join, parse, relative, resolve, sep } from 'node:path';

/** Whether `path` is `folder` or lies in it, by name alone. */
export function liesIn(path: string, folder: string, platform: NodeJS.Platform = process.platform): boolean {
  const plain = (name: string) => (platform === 'linux' ? name : name.toLowerCase());
  const way = relative(plain(folder), plain(path));
  return way === '' || !(way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way));
}

/** The folder among `folders` that has a part in where `path` leads, if there is one. */
export function openFolderOf(path: string, folders: readonly string[]): string | undefined {
  if (folders.length === 0) return undefined;
  const places = [...placesOf(path)];
  return folders.find((folder) => {
    const names = [resolve(folder), realPath(folder)];
    return places.some((place) => names.some((name) => liesIn(place, name)));
  });
}

/**
 * The entries of a list of folders that may be searched. A relative or empty entry means the current folder, which may
 * be an open one.
 */
export function safeEntries(list: string | undefined, separator: string, openFolders: readonly string[]): string[] {
  return (list ?? '')
    .split(separator)
    .map((entry) => entry.replace(/^"(.*)"$/, '$1'))
    .filter((entry) => isAbsolute(entry) && openFolderOf(entry, openFolders) === undefined);
}

/** Links in a chain after which it is taken for a circle. */
const MOST_LINKS = 40;

/** Every place that is passed on the way to what `path` stands for; it may not exist. */
function* placesOf(path: string): Generator<string> {
  let rest = partsOf(resolve(path));
  let at = parse(resolve(path)).root;
  for (let links = 0; rest.length > 0 && links <= MOST_LINKS; ) {
    const [part = '', ...more] = rest;
    const next = join(at, part);
    yield next;
    const target = linkTarget(next);
    if (target === undefined) {
      at = next;
      rest = more;
      continue;
    }
    links++;
    const to = resolve(at, target);
    at = parse(to).root;
    rest = [...partsOf(to), ...more];
  }
  yield realPath(path);
}

function partsOf(path: string): string[] {
  return path.slice(parse(path).root.length).split(sep).filter(Boolean);
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** The path without links, or `path` itself where there is nothing. */
export function realPath(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    return resolve(path);
  }
}
