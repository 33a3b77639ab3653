// The damaged files of every format, 20,000 each (or as many as the first argument says): npm run fuzz [-- COUNT]
import { spawnSync } from 'node:child_process';

const { status } = spawnSync(
  process.execPath,
  ['node_modules/mocha/bin/mocha.js', '--no-timeouts', 'test/unit/formats/**/*.fuzz.test.ts'],
  { stdio: 'inherit', env: { ...process.env, RANKSCOPE_FUZZ: process.argv[2] ?? '20000' } },
);
process.exitCode = status ?? 1;
