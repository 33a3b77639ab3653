import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

describe('the lock file', () => {
  const text = readFileSync('package-lock.json', 'utf8');
  const packages: Record<string, { optionalDependencies?: Record<string, string> }> = JSON.parse(text).packages;

  it('lists the packages of every platform (npm run lock adds them)', () => {
    const missing = Object.entries(packages).flatMap(([key, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) => !(`${key}/node_modules/${name}` in packages) && !(`node_modules/${name}` in packages),
      ),
    );
    assert.deepEqual(missing, []);
  });

  it('names no registry', () => assert.doesNotMatch(text, /"resolved"/));
});
