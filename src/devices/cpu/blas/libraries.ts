// Where libraries with a BLAS lie. Everything here is a function of what folders list, so that the layouts of all
// systems are tested on one.
import { posix, win32 } from 'node:path';

/** The names in a folder; empty where there is none. */
export type List = (folder: string) => readonly string[];

export interface Library {
  readonly path: string;
  /** Where it was found, in words. */
  readonly source: string;
}

/** The folders of an interpreter, as it tells them. */
export interface PythonFolders {
  /** Where its packages are: site-packages and the like. */
  readonly packages: readonly string[];
  /** The roots of its environments. */
  readonly prefixes: readonly string[];
}

/** Kinds of libraries, best first. The last may be any BLAS, or the slow reference: the probe tells. */
const OPENBLAS = /^(?:lib)?(?:scipy_)?openblas.*\.(?:so(?:\.[\d.]+)?|dylib|dll)$/i;
const MKL = /^(?:lib)?mkl_rt(?:\.\d+)?\.(?:so(?:\.\d+)?|dylib|dll)$/i;
const BLIS = /^(?:lib)?(?:blis|blis-mt|aocl-?blis)(?:\.\d+)*\.(?:so(?:\.[\d.]+)?|dylib|dll)$/i;
const ANY = /^(?:lib)?(?:flexiblas|[st]atlas|armpl_lp64_mp|blas)(?:\.\d+)*\.(?:so(?:\.[\d.]+)?|dylib|dll)$/i;
const KINDS = [OPENBLAS, BLIS, MKL, ANY];
/** In a conda environment, NumPy comes with the one that is there. */
const OF_CONDA = [MKL, OPENBLAS, BLIS, ANY];

const join = (platform: NodeJS.Platform) => (platform === 'win32' ? win32.join : posix.join);

/** The libraries of an interpreter: those of its wheels first, then those of its environment. */
export function pythonLibraries(
  { packages, prefixes }: PythonFolders,
  interpreter: string,
  list: List,
  platform: NodeJS.Platform = process.platform,
): Library[] {
  const at = join(platform);
  const source = (owner: string) => `${owner} of ${interpreter}`;
  const found: Library[] = [];
  for (const folder of packages) {
    const names = list(folder);
    const ownersFirst = ['numpy', 'scipy', ...names.flatMap((name) => /^(\w+)\.libs$/.exec(name)?.[1] ?? [])];
    for (const owner of new Set(ownersFirst))
      for (const place of [[`${owner}.libs`], [owner, '.libs'], [owner, '.dylibs']])
        found.push(...inFolder(at(folder, ...place), [OPENBLAS], source(OWNERS[owner] ?? owner), list, at));
    for (const name of names.filter((each) => /^scipy_openblas(?:32|64)$/.test(each)))
      found.push(...inFolder(at(folder, name, 'lib'), [OPENBLAS], source(name), list, at));
  }
  // A wheel of MKL, and all of conda.
  for (const prefix of prefixes.filter((each) => !isOfTheSystem(each))) {
    const folder = platform === 'win32' ? at(prefix, 'Library', 'bin') : at(prefix, 'lib');
    found.push(...inFolder(folder, OF_CONDA, `the environment of ${interpreter}`, list, at));
  }
  // Takes longest to load. Those of other systems use a library that is found elsewhere, or export nothing.
  if (platform === 'linux')
    for (const folder of packages)
      found.push(
        ...inFolder(at(folder, 'torch', 'lib'), [OPENBLAS, /^libtorch_cpu\.so$/], source('PyTorch'), list, at),
      );
  return found;
}

const OWNERS: Readonly<Record<string, string>> = { numpy: 'NumPy', scipy: 'SciPy' };

/** Its libraries are found as such. */
const isOfTheSystem = (prefix: string) => prefix === '/usr' || prefix === '/usr/local' || prefix === '/';

const TRIPLETS: Partial<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };
/** Folders in which distributions keep the variants of a library. */
const VARIANTS = ['openblas-pthread', 'openblas-openmp', 'openblas-serial', 'blis-pthread', 'blis-openmp', 'atlas'];

/** The libraries of the system, where distributions, Homebrew and Intel's installer put them. */
export function systemLibraries(
  list: List,
  platform: NodeJS.Platform = process.platform,
  architecture: string = process.arch,
): Library[] {
  const at = join(platform);
  const folders = systemFolders(platform, architecture);
  const found = folders.flatMap((folder) => inFolder(folder, KINDS, 'the system', list, at));
  // By kind, whatever the folder.
  const kind = ({ path }: Library) => KINDS.findIndex((pattern) => pattern.test(path.split(/[\\/]/).at(-1) ?? ''));
  return found.sort((a, b) => kind(a) - kind(b));
}

function systemFolders(platform: NodeJS.Platform, architecture: string): string[] {
  if (platform === 'darwin') {
    const roots = ['/opt/homebrew/opt', '/usr/local/opt'];
    return [...roots.flatMap((root) => [`${root}/openblas/lib`, `${root}/blis/lib`]), '/opt/local/lib'];
  }
  if (platform === 'win32') {
    const mkl = 'C:\\Program Files (x86)\\Intel\\oneAPI\\mkl\\latest';
    return [`${mkl}\\bin`, `${mkl}\\redist\\intel64`];
  }
  const triplet = TRIPLETS[architecture];
  const roots = ['/usr/local/lib', '/usr/local/lib64', ...(triplet ? [`/usr/lib/${triplet}`] : [])];
  roots.push('/usr/lib64', '/usr/lib', '/lib64', '/lib');
  return [
    ...roots.flatMap((root) => [root, ...VARIANTS.map((variant) => `${root}/${variant}`)]),
    '/opt/OpenBLAS/lib',
    '/opt/intel/oneapi/mkl/latest/lib',
    '/opt/intel/oneapi/mkl/latest/lib/intel64',
    '/home/linuxbrew/.linuxbrew/opt/openblas/lib',
    '/run/current-system/sw/lib',
  ];
}

/** The libraries in a folder whose names match, those that match an earlier pattern first. */
function inFolder(
  folder: string,
  patterns: readonly RegExp[],
  source: string,
  list: List,
  at: (...parts: string[]) => string,
): Library[] {
  const names = list(folder);
  return patterns.flatMap((pattern) =>
    names
      .filter((name) => pattern.test(name))
      .sort()
      .map((name) => ({ path: at(folder, name), source })),
  );
}
