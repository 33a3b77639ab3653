import assert from 'node:assert/strict';
import { foreignBinary } from '../../../../src/devices/cpu/blas/binary.ts';
import { pythonLibraries, systemLibraries } from '../../../../src/devices/cpu/blas/libraries.ts';
import { findSgemm, nameOf } from '../../../../src/devices/cpu/blas/names.ts';
import { liesIn } from '../../../../src/files/openFolders.ts';

/** A file system of these files. */
function listing(files: readonly string[], separator = '/') {
  return (folder: string) => {
    const start = folder + separator;
    const below = files.filter((file) => file.startsWith(start)).map((file) => file.slice(start.length));
    return [...new Set(below.map((file) => file.split(separator)[0]!))];
  };
}

describe('places of BLAS libraries', () => {
  const from = (files: string[], platform: NodeJS.Platform, packages: string[], prefixes: string[] = []) =>
    pythonLibraries({ packages, prefixes }, 'python', listing(files, platform === 'win32' ? '\\' : '/'), platform);

  it('are the folders of NumPy’s and SciPy’s wheels on Linux, before those of others and of torch', () => {
    const site = '/venv/lib/python3.12/site-packages';
    const files = [
      `${site}/torch/lib/libtorch_cpu.so`,
      `${site}/torch/lib/libtorch.so`,
      `${site}/faiss_cpu.libs/libopenblasp-r0-1a2b.3.28.so`,
      `${site}/scipy.libs/libscipy_openblas-b75cc656.so`,
      `${site}/numpy.libs/libgfortran-040039e1.so.5.0.0`,
      `${site}/numpy.libs/libscipy_openblas64_-fdde5778.so`,
      `${site}/numpy/.libs/libopenblasp-r0-39a31c03.2.18.so`,
    ];
    const found = from(files, 'linux', [site]);
    assert.deepEqual(
      found.map(({ path, source }) => [path.slice(site.length + 1), source]),
      [
        ['numpy.libs/libscipy_openblas64_-fdde5778.so', 'NumPy of python'],
        ['numpy/.libs/libopenblasp-r0-39a31c03.2.18.so', 'NumPy of python'],
        ['scipy.libs/libscipy_openblas-b75cc656.so', 'SciPy of python'],
        ['faiss_cpu.libs/libopenblasp-r0-1a2b.3.28.so', 'faiss_cpu of python'],
        ['torch/lib/libtorch_cpu.so', 'PyTorch of python'],
      ],
    );
  });

  it('are those of wheels on macOS and Windows', () => {
    const mac = '/v/lib/python3.11/site-packages';
    assert.deepEqual(
      from([`${mac}/numpy/.dylibs/libscipy_openblas64_.dylib`, `${mac}/numpy/.dylibs/libgfortran.5.dylib`], 'darwin', [
        mac,
      ]).map(({ path }) => path),
      [`${mac}/numpy/.dylibs/libscipy_openblas64_.dylib`],
    );
    const win = 'C:\\v\\Lib\\site-packages';
    assert.deepEqual(
      from(
        [`${win}\\numpy.libs\\libscipy_openblas64_-860d95b1.dll`, `${win}\\numpy.libs\\msvcp140-2631.dll`],
        'win32',
        [win],
      ).map(({ path }) => path),
      [`${win}\\numpy.libs\\libscipy_openblas64_-860d95b1.dll`],
    );
  });

  it('are the libraries of a conda environment, and of the packages scipy-openblas and mkl', () => {
    const conda = [
      'libmkl_rt.so.2',
      'libmkl_rt.so',
      'libopenblasp-r0.3.28.so',
      'libcblas.so.3',
      'libblas.so.3',
      'libz.so',
    ];
    const site = '/conda/lib/python3.12/site-packages';
    assert.deepEqual(
      from(
        [...conda.map((name) => `/conda/lib/${name}`), `${site}/scipy_openblas64/lib/libscipy_openblas64_.so`],
        'linux',
        [site],
        ['/conda'],
      ).map(({ path }) => path),
      [
        `${site}/scipy_openblas64/lib/libscipy_openblas64_.so`,
        '/conda/lib/libmkl_rt.so',
        '/conda/lib/libmkl_rt.so.2',
        '/conda/lib/libopenblasp-r0.3.28.so',
        '/conda/lib/libblas.so.3',
      ],
    );
    assert.deepEqual(
      from(['C:\\c\\Library\\bin\\mkl_rt.2.dll', 'C:\\c\\Library\\bin\\openblas.dll'], 'win32', [], ['C:\\c']).map(
        ({ path }) => path,
      ),
      ['C:\\c\\Library\\bin\\mkl_rt.2.dll', 'C:\\c\\Library\\bin\\openblas.dll'],
    );
  });

  it('are those of the system by their speed, whatever the folder', () => {
    const debian = '/usr/lib/x86_64-linux-gnu';
    const files = [
      `${debian}/libblas.so.3`,
      `${debian}/libmkl_rt.so`,
      `${debian}/libblis.so.4`,
      `${debian}/openblas-pthread/libopenblas.so.0`,
      '/usr/lib64/libopenblas64_.so.0',
    ];
    assert.deepEqual(
      systemLibraries(listing(files), 'linux', 'x64').map(({ path }) => path),
      [files[3], files[4], files[2], files[1], files[0]],
    );
    assert.deepEqual(
      systemLibraries(listing(['/opt/homebrew/opt/openblas/lib/libopenblas.dylib']), 'darwin', 'arm64').map(
        ({ path }) => path,
      ),
      ['/opt/homebrew/opt/openblas/lib/libopenblas.dylib'],
    );
  });
});

describe('names in BLAS libraries', () => {
  const library = (texts: Record<string, string>) => ({
    has: (symbol: string) => symbol in texts,
    text: (symbol: string) => texts[symbol] ?? '',
    written: (symbol: string) => texts[symbol] ?? '',
  });

  it('are found with each prefix and suffix, the plain one first', () => {
    for (const name of ['sgemm_', 'sgemm_64_', 'sgemm64_', 'scipy_sgemm_', 'scipy_sgemm_64_', 'sgemm'])
      assert.equal(findSgemm(library({ [name]: '', cblas_sgemm: '', dgemm_: '' })), name);
    assert.equal(findSgemm(library({ sgemm_64_: '', sgemm_: '' })), 'sgemm_');
    assert.equal(findSgemm(library({ cblas_sgemm: '' })), undefined);
  });

  it('say what the library is', () => {
    const config = 'OpenBLAS 0.3.30  USE64BITINT DYNAMIC_ARCH NO_AFFINITY Zen MAX_THREADS=64';
    const numpy = { scipy_openblas_get_config64_: config, scipy_openblas_get_corename64_: 'Zen' };
    assert.equal(nameOf(library(numpy), 'x.so'), 'OpenBLAS 0.3.30 (Zen)');
    assert.equal(nameOf(library({ openblas_get_config: 'NO_AFFINITY Haswell' }), 'x.so'), 'OpenBLAS');
    const mkl = 'Intel(R) oneAPI Math Kernel Library Version 2025.0-Product Build 20241009 for Intel(R) 64';
    assert.equal(nameOf(library({ MKL_Get_Version_String: mkl }), 'x.so'), 'MKL 2025.0');
    assert.equal(nameOf(library({ bli_info_get_version_str: '1.0' }), 'x.so'), 'BLIS 1.0');
    assert.equal(nameOf(library({ sgemm_: '' }), 'libblas.so.3'), 'libblas.so.3');
    assert.equal(nameOf(library({ bli_info_get_version_str: `\u001b[2J${'x'.repeat(500)}` }), '').length, 80);
  });
});

describe('the header of a library', () => {
  const header = (write: (view: DataView) => void, size = 512) => {
    const bytes = new Uint8Array(size);
    write(new DataView(bytes.buffer));
    return bytes;
  };
  const elf = (machine: number, type = 3) =>
    header((view) => {
      view.setUint32(0, 0x7f454c46);
      view.setUint8(5, 1);
      view.setUint16(16, type, true);
      view.setUint16(18, machine, true);
    });
  const pe = (machine: number) =>
    header((view) => {
      view.setUint16(0, 0x4d5a);
      view.setUint32(0x3c, 0x80, true);
      view.setUint32(0x80, 0x50450000);
      view.setUint16(0x84, machine, true);
    });
  const universal = header((view) => {
    view.setUint32(0, 0xcafebabe);
    view.setUint32(4, 2);
    view.setUint32(8, 0x01000007);
    view.setUint32(28, 0x0100000c);
  });

  it('tells for which system and processor it is', () => {
    assert.equal(foreignBinary(elf(62), 'linux', 'x64'), undefined);
    assert.match(foreignBinary(elf(183), 'linux', 'x64')!, /^is built for arm64, but this process runs on x64$/);
    assert.match(foreignBinary(elf(9999), 'linux', 'x64')!, /is built for another processor/);
    assert.equal(foreignBinary(elf(62, 2), 'linux', 'x64'), 'is not a shared library');
    assert.equal(foreignBinary(pe(0x8664), 'win32', 'x64'), undefined);
    assert.match(foreignBinary(pe(0xaa64), 'win32', 'x64')!, /built for arm64/);
    assert.equal(foreignBinary(pe(0x8664), 'linux', 'x64'), 'is a library for Windows');
    for (const processor of ['x64', 'arm64']) assert.equal(foreignBinary(universal, 'darwin', processor), undefined);
    assert.match(foreignBinary(universal, 'darwin', 'ia32')!, /built for x64 and arm64/);
  });

  it('may be anything', () => {
    for (const size of [0, 1, 4, 63, 64, 4096]) {
      assert.equal(foreignBinary(new Uint8Array(size), 'linux', 'x64'), 'is not a shared library');
      for (const magic of [0x7f454c46, 0xcafebabe, 0xcffaedfe, 0x4d5affff])
        foreignBinary(header((view) => size >= 4 && view.setUint32(0, magic), size).fill(255, 4), 'linux', 'x64');
    }
  });
});

describe('lying in a folder', () => {
  it('is a matter of whole names, and of their case where the system has it so', () => {
    assert.ok(liesIn('/a/b/c', '/a/b', 'linux'));
    assert.ok(liesIn('/a/b', '/a/b', 'linux'));
    assert.ok(liesIn('/a/b/..c', '/a/b', 'linux'));
    assert.ok(!liesIn('/a/bc', '/a/b', 'linux'));
    assert.ok(!liesIn('/a', '/a/b', 'linux'));
    assert.ok(!liesIn('/A/b/c', '/a/b', 'linux'));
    assert.ok(liesIn('/A/b/c', '/a/B', 'darwin'));
  });
});
