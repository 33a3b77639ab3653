import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The C compiler: that of RANKSCOPE_CC, where a missing one is an error, or one that is there. @returns undefined where
 * there is none, or no ELF
 */
function compiler(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const named = process.env.RANKSCOPE_CC;
  for (const command of named ? [named] : ['cc', 'gcc'])
    try {
      execFileSync(command, ['--version'], { stdio: 'ignore' });
      return command;
    } catch (error) {
      if (named) throw error;
    }
  return undefined;
}

const CC = compiler();

/** Skips a test, or a group of them, where nothing can be compiled. */
export function needCompiler(context: Mocha.Context): void {
  if (CC !== undefined) return;
  if (context.test) context.test.title += ' [skipped: no C compiler (RANKSCOPE_CC)]';
  context.skip();
}

/** A plain BLAS: sgemm as Fortran calls it. MARK names a file that is written when it is loaded. */
const SOURCE = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#ifndef INT
#define INT int32_t
#endif
#ifndef NAME
#define NAME sgemm_
#endif
#ifndef WRONG
#define WRONG 0
#endif
#ifndef AT_LOAD
#define AT_LOAD
#endif
#ifndef AT_CALL
#define AT_CALL
#endif
static void vanish(void) {
  Dl_info info;
  dladdr((void *)vanish, &info);
  unlink(info.dli_fname);
}
/* How many threads are in it. */
static int inside;
__attribute__((constructor)) static void load(void) {
  (void)vanish;
#ifdef MARK
  close(open(MARK, O_CREAT | O_WRONLY, 0600));
#endif
  AT_LOAD;
}
#ifdef AT_END
__attribute__((destructor)) static void end(void) { AT_END; }
#endif
void NAME(const char *ta, const char *tb, const INT *pm, const INT *pn, const INT *pk, const float *alpha,
          const float *a, const INT *plda, const float *b, const INT *pldb, const float *beta, float *c,
          const INT *pldc, size_t la, size_t lb) {
  INT m = *pm, n = *pn, k = *pk, lda = *plda, ldb = *pldb, ldc = *pldc;
  __sync_fetch_and_add(&inside, 1);
  AT_CALL;
  for (INT j = 0; j < n; j++) {
    float *cj = c + j * (size_t)ldc;
    for (INT i = 0; i < m; i++) cj[i] = *beta == 0 ? 0 : *beta * cj[i];
    if (*ta == 'N')
      for (INT l = 0; l < k; l++) {
        float x = *alpha * (*tb == 'N' ? b[l + j * (size_t)ldb] : b[j + l * (size_t)ldb]);
        for (INT i = 0; i < m; i++) cj[i] += x * a[i + l * (size_t)lda];
      }
    else
      for (INT i = 0; i < m; i++) {
        float sum = 0;
        for (INT l = 0; l < k; l++)
          sum += a[l + i * (size_t)lda] * (*tb == 'N' ? b[l + j * (size_t)ldb] : b[j + l * (size_t)ldb]);
        cj[i] += *alpha * sum;
      }
  }
  int crowd = __sync_fetch_and_sub(&inside, 1);
  (void)crowd;
  if (WRONG) c[(m - 1) + (n - 1) * (size_t)ldc] += 1;
}
`;

/** Fast enough for the tests: sums may be reordered, so that they are vectorized. */
const FLAGS = [
  '-shared',
  '-fPIC',
  '-O3',
  '-march=native',
  '-fassociative-math',
  '-fno-signed-zeros',
  '-fno-trapping-math',
];

/**
 * Compiles that BLAS with macros defined, for example `{ WRONG: 'n==16' }`, and links it with libraries that it needs.
 * @returns its path
 */
export function compileBlas(
  folder: string,
  name: string,
  macros: Readonly<Record<string, string>> = {},
  needed: readonly string[] = [],
): string {
  const source = join(folder, `${name}.c`);
  const library = join(folder, name);
  writeFileSync(source, SOURCE);
  const defined = Object.entries(macros).map(([macro, text]) => `-D${macro}=${text}`);
  execFileSync(CC!, [...FLAGS, ...defined, '-o', library, source, ...needed, `-Wl,-soname,${name}`, '-ldl'], {
    stdio: 'pipe',
  });
  return library;
}
