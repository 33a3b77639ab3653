// The damaged files of every format, 20,000 each (or as many as the first argument says), or of those that the others
// name: npm run fuzz [-- COUNT [FORMAT ...]]
import { spawnSync } from 'node:child_process';

const [count = '20000', ...formats] = process.argv.slice(2);
const files = (formats.length > 0 ? formats : ['*']).map((format) => `test/unit/formats/**/${format}.fuzz.test.ts`);
const { status } = spawnSync(process.execPath, ['node_modules/mocha/bin/mocha.js', '--no-timeouts', ...files], {
  stdio: 'inherit',
  env: { ...process.env, RANKSCOPE_FUZZ: count },
});
process.exitCode = status ?? 1;
