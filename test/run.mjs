// The one test runner.
//
//
// Suites: check (types, lint, format, unused code, layers), unit, models (unit tests of networks and use cases),
// numeric, pages (webview pages in a browser), package (the .vsix), integration (mocha inside the extension host), ui
// (the installed .vsix, driven through a browser), oldest (integration and the first UI test on the oldest VS Code that
// package.json promises). Three run side by side; the output of each stays in one piece. The logs are in
// test-output/logs, pictures in test-output/screenshots.
//
// RANKSCOPE_PYTHON names a Python with the libraries of test/python/requirements.txt, as `npm run reference` prints it:
// a test that needs Python and is skipped then fails the run. Without it, those tests are skipped and counted as such.
// RANKSCOPE_CHECKPOINTS names the folder of real checkpoints (default ../shared/checkpoints). CHROMIUM names a browser.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { resolve as absolute, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { orderedOutput } from './host/output.mjs';
import { warmPython } from './host/warmPython.mjs';

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));
const OUTPUT = 'test-output';
const TSX = ['--import', 'tsx'];
const bin = (name, file) => [process.execPath, join('node_modules', name, file)];

/** No suite takes half of this on a busy machine; one that hangs must not hang the whole run. */
const LIMIT_MINUTES = 40;

/**
 * What runs side by side, stage after stage. Whatever writes to dist/ comes first. Suites wait much of their time: for
 * pages, timers, a child process, or a file.
 */
const STAGES = [
  [['check'], ['build', 'package']],
  [['unit'], ['pages', 'integration', 'ui', 'oldest'], ['models', 'numeric']],
];
const ORDER = STAGES.flat(2);

/** Unit tests that run networks and whole checkpoints, which take about as long as all others together. */
const MODELS = 'test/unit/{network,service}';

/** Each check is one test. */
const CHECKS = {
  types: [...bin('typescript', 'bin/tsc'), '-b', 'src', 'webview', 'test'],
  'lint and format': [...bin('@biomejs/biome', 'bin/biome'), 'check', '--error-on-warnings'],
  promises: [...bin('oxlint', 'bin/oxlint'), '--type-aware', '--deny-warnings'],
  'unused code': [...bin('knip', 'bin/knip.js')],
  'code that only tests use': [...bin('knip', 'bin/knip.js'), '--production'],
};

const SUITES = {
  build: async () => single('build', await run('build', [process.execPath, 'src/build/build.mjs'])),
  check: async () => {
    const results = Object.entries(CHECKS).map(async ([name, command]) => single(name, await run('check', command)));
    return sum([...(await Promise.all(results)), await mocha('check', ['test/layers.test.ts'])]);
  },
  unit: () => mocha('unit', ['test/unit/**/*.test.ts', '--ignore', `${MODELS}/**`]),
  models: () => mocha('models', [`${MODELS}/**/*.test.ts`]),
  numeric: async () => {
    const problem = await hosts;
    if (problem !== undefined) return single('setup', problem);
    // NumPy brings a BLAS.
    const engines = python === undefined ? ENGINES : `${ENGINES},blas`;
    return mocha('numeric', ['test/numeric/**/*.test.ts'], { RANKSCOPE_TEST_ENGINES: engines });
  },
  pages: () => mocha('pages', ['test/ui/pages/**/*.test.ts']),
  package: async () => single('package', await run('package', [process.execPath, ...TSX, 'src/build/package.ts'])),
  integration: () => integration('integration', 'newest'),
  ui: () => mocha('ui', ['test/ui/*.test.ts']),
  oldest: async () => {
    const browser = () => mocha('oldest', ['test/ui/inspector.test.ts'], { RANKSCOPE_VSCODE: 'oldest' });
    return sum([await integration('oldest', 'oldest'), await browser()]);
  },
};
const IN_VSCODE = ['integration', 'ui', 'oldest'];
/** What needs Chromium: a page, or the GPU emulation that comes with it. */
const WITH_BROWSER = [...IN_VSCODE, 'pages', 'numeric'];
const WITH_PYTHON = ['unit', 'models', 'numeric'];
/** TensorFlow's library is not available everywhere: RANKSCOPE_TENSORFLOW names the folder where it is installed. */
const ENGINES = `reference,cpu,webgpu${process.env.RANKSCOPE_TENSORFLOW ? ',tensorflow' : ''}`;

const children = new Set();
const failures = [];
const { suites, extra } = readArguments(process.argv.slice(2));
mkdirSync(`${OUTPUT}/logs`, { recursive: true });
rmSync(`${OUTPUT}/screenshots`, { recursive: true, force: true });
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => {
    for (const child of children) endGroup(child);
    python?.stop();
    process.exit(130);
  });
const started = Date.now();
const output = orderedOutput(
  ORDER.filter((name) => suites.includes(name)),
  `${OUTPUT}/logs`,
);
const python = startPython();
const hosts = suites.some((suite) => WITH_BROWSER.includes(suite)) ? setUpHosts() : undefined;
const rows = [];
for (const lanes of STAGES)
  await Promise.all(
    lanes.map(async (lane) => {
      for (const suite of lane) if (suites.includes(suite)) rows.push(await timed(suite));
    }),
  );
python?.stop();
report();

/** Runs one command in a process group of its own, its output to the terminal and to the suite's log. */
function run(suite, [command, ...parameters], environment = {}) {
  const child = spawn(command, parameters, {
    env: { ...process.env, ...(python && { RANKSCOPE_PYTHON: python.command }), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  children.add(child);
  const late = setTimeout(() => {
    output.write(suite, `${suite} is ended: it ran longer than ${LIMIT_MINUTES} minutes\n`);
    endGroup(child);
  }, LIMIT_MINUTES * 60_000);
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => output.write(suite, text));
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(String(error)));
    child.once('close', (code, signal) => {
      clearTimeout(late);
      children.delete(child);
      endGroup(child);
      resolve(code === 0 ? undefined : `exit code ${code ?? signal}`);
    });
  });
}

/** A suite of mocha in plain Node; its failure, its crash and its emptiness all fail. */
async function mocha(suite, files, environment = {}) {
  const results = absolute(OUTPUT, `${suite}.json`);
  rmSync(results, { force: true });
  const command = [...bin('mocha', 'bin/mocha.js'), '--reporter', './test/host/reporter.ts', ...extra, ...files];
  const problem = await run(suite, command, { RANKSCOPE_TEST_RESULTS: results, ...environment });
  return counted(suite, results, problem);
}

async function integration(suite, release) {
  const results = absolute(OUTPUT, `${suite}.json`);
  rmSync(results, { force: true });
  const command = [process.execPath, ...TSX, 'test/host/integration.ts', release, ...extra];
  return counted(suite, results, await run(suite, command, { RANKSCOPE_TEST_RESULTS: results }));
}

function counted(suite, results, problem) {
  const tests = existsSync(results) ? JSON.parse(readFileSync(results, 'utf8')) : [];
  const of = (outcome) => tests.filter((test) => test.outcome === outcome);
  const missed = python === undefined ? [] : of('skipped').filter(needsPython);
  const failed = of('failed').map((test) => `${suite}: ${test.title}`);
  failed.push(...missed.map((test) => `${suite}: skipped though RANKSCOPE_PYTHON is set: ${test.title}`));
  if (tests.length === of('skipped').length && extra.length === 0)
    failed.push(`${suite}: no test was executed (${problem ?? 'none found'})`);
  else if (problem !== undefined && failed.length === 0) failed.push(`${suite}: ${problem}`);
  failures.push(...failed);
  const skipped = of('skipped').filter((test) => !missed.includes(test));
  return { passed: of('passed').length, failed: failed.length, skipped: skipped.map((test) => test.title) };
}

/** A test that is skipped for want of Python names the variable in its title, wherever it found that out. */
function needsPython({ title }) {
  return title.includes('RANKSCOPE_PYTHON');
}

function single(name, problem) {
  if (problem !== undefined) failures.push(`${name}: ${problem}`);
  return { passed: problem === undefined ? 1 : 0, failed: problem === undefined ? 0 : 1, skipped: [] };
}

function sum(parts) {
  const add = (key) => parts.reduce((total, part) => total + part[key], 0);
  return { passed: add('passed'), failed: add('failed'), skipped: parts.flatMap((part) => part.skipped) };
}

async function timed(name) {
  output.start(name);
  if (IN_VSCODE.includes(name)) await hosts;
  const start = Date.now();
  const result = await SUITES[name]();
  output.end(name);
  return { name, ...result, seconds: (Date.now() - start) / 1000 };
}

/** Downloads continue while the first suites run. */
function setUpHosts() {
  rmSync(`${OUTPUT}/logs/setup.log`, { force: true });
  return run('setup', [
    process.execPath,
    ...TSX,
    'src/build/host/setup.ts',
    ...(suites.includes('oldest') ? [] : suites.some((suite) => IN_VSCODE.includes(suite)) ? ['newest'] : ['browser']),
  ]);
}

/**
 * The Python to compare with; one that is named and does not start is a failure, and the tests that need it are
 * skipped.
 */
function startPython() {
  const named = process.env.RANKSCOPE_PYTHON;
  delete process.env.RANKSCOPE_PYTHON;
  if (!named) return undefined;
  try {
    execFileSync(named, ['-c', ''], { stdio: 'ignore' });
  } catch (error) {
    failures.push(`RANKSCOPE_PYTHON names ${named}, which does not start: ${error.message}`);
    return undefined;
  }
  return suites.some((suite) => WITH_PYTHON.includes(suite)) ? warmPython(named) : undefined;
}

function endGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

function readArguments(given) {
  const grep = given.indexOf('--grep');
  const words = grep < 0 ? given : given.slice(0, grep);
  const named = words.filter((word) => !word.startsWith('--'));
  const unknown = [
    ...named.filter((name) => !(name in SUITES)),
    ...words.filter((word) => word.startsWith('--') && word !== '--no-build'),
  ];
  if (unknown.length > 0) {
    console.error(`unknown: ${unknown.join(', ')}\nsuites: ${Object.keys(SUITES).join(', ')}`);
    process.exit(2);
  }
  const chosen = named.length > 0 ? named : Object.keys(SUITES).filter((name) => name !== 'build');
  if (!words.includes('--no-build') && chosen.some((suite) => suite !== 'check')) chosen.push('build');
  return { suites: chosen, extra: grep < 0 ? [] : given.slice(grep) };
}

function report() {
  console.log('\n=== summary');
  rows.sort((a, b) => ORDER.indexOf(a.name) - ORDER.indexOf(b.name));
  for (const { name, passed, failed, skipped, seconds } of rows)
    console.log(
      `${name.padEnd(12)} ${String(passed).padStart(5)} passed ${String(failed).padStart(4)} failed ${String(skipped.length).padStart(4)} skipped ${seconds.toFixed(1).padStart(7)} s`,
    );
  const minutes = ((Date.now() - started) / 60_000).toFixed(1);
  console.log(`${minutes} minutes in all; up to three suites run at a time`);
  const total = sum(rows);
  if (total.skipped.some((title) => needsPython({ title })))
    console.log(
      '\nTests that compare with Python are skipped: RANKSCOPE_PYTHON is not set (npm run reference makes one).',
    );
  for (const title of total.skipped) console.log(`skipped: ${title}`);
  for (const failure of failures) console.log(`FAILED: ${failure}`);
  const pictures = existsSync(`${OUTPUT}/screenshots`) ? readdirSync(`${OUTPUT}/screenshots`).length : 0;
  if (pictures > 0) console.log(`${pictures} screenshots in ${OUTPUT}/screenshots`);
  // What belongs to no suite counts as well.
  const failed = failures.length;
  const skipped = total.skipped.length > 0 ? `, ${total.skipped.length} skipped` : '';
  console.log(`\n${total.passed} passed, ${failed} failed${skipped}`);
  const executed = sum(rows.filter(({ name }) => name !== 'build'));
  process.exit(failed > 0 || executed.passed === 0 ? 1 : 0);
}
