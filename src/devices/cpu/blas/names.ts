/** What a shared library offers, as far as it takes to name it. */
export interface Probed {
  has(symbol: string): boolean;
  /** Calls a function without arguments that returns a C string. */
  text(symbol: string): string;
  /** Calls a function that writes a C string into a buffer of the given length. */
  written(symbol: string): string;
}

const PREFIXES = ['', 'scipy_'];
/** Fortran compilers add underscores; builds with 64-bit integers add a suffix, so as to be told from the others. */
const SGEMM = ['sgemm_', 'sgemm_64_', 'sgemm64_', 'sgemm_64', 'sgemm64', 'sgemm', 'SGEMM'];
const SUFFIXES = ['', '64_', '_64', '_64_'];

const variants = (stem: string) => PREFIXES.flatMap((prefix) => SUFFIXES.map((suffix) => prefix + stem + suffix));

/** The Fortran sgemm of a library, under whichever name it goes. */
export function findSgemm({ has }: Pick<Probed, 'has'>): string | undefined {
  return PREFIXES.flatMap((prefix) => SGEMM.map((name) => prefix + name)).find(has);
}

/** What the library calls itself, with its version; otherwise `fallback`. */
export function nameOf(library: Probed, fallback: string): string {
  const first = (names: readonly string[]) => names.find((name) => library.has(name));
  const config = first(variants('openblas_get_config'));
  if (config !== undefined) {
    const core = first(variants('openblas_get_corename'));
    const version = /OpenBLAS\s+(\d\S*)/.exec(library.text(config))?.[1];
    return printable(`OpenBLAS${version ? ` ${version}` : ''}${core ? ` (${library.text(core)})` : ''}`);
  }
  const mkl = first(['MKL_Get_Version_String', 'mkl_get_version_string']);
  if (mkl !== undefined) {
    const version = /Version\s+(\d[\d.]*)/.exec(library.written(mkl))?.[1];
    return printable(`MKL${version ? ` ${version}` : ''}`);
  }
  if (library.has('bli_info_get_version_str')) return printable(`BLIS ${library.text('bli_info_get_version_str')}`);
  return printable(fallback);
}

/** A name from foreign code, fit for one line. */
const printable = (name: string) =>
  name
    .replaceAll(/[^ -~]+/g, ' ')
    .trim()
    .slice(0, 80);
