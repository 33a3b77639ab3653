// Lists in package-lock.json the optional packages of other platforms, where a registry that holds only some made npm
// drop them: `npm ci` refuses a lock file without them, on every platform. Run it after `npm install`: npm run lock
import { readFileSync, writeFileSync } from 'node:fs';

const SYSTEMS = 'android darwin linux win32 freebsd openbsd netbsd sunos aix openharmony'.split(' ');
const PROCESSORS = 'arm64 x64 ia32 arm ppc64 riscv64 s390x loong64 mips64el wasm32'.split(' ');

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const missing = Object.entries(lock.packages).flatMap(([key, owner]) =>
  Object.entries(owner.optionalDependencies ?? {})
    .filter(([name]) => !(`${key}/node_modules/${name}` in lock.packages) && !(`node_modules/${name}` in lock.packages))
    .map(([name, version]) => [`node_modules/${name}`, entryOf(name, version, owner)]),
);
const packages = [...Object.entries(lock.packages), ...missing].sort(([a], [b]) => a.localeCompare(b, 'en'));
writeFileSync('package-lock.json', `${JSON.stringify({ ...lock, packages: Object.fromEntries(packages) }, null, 2)}\n`);
console.log(`${missing.length} packages of other platforms were added`);

/** What npm writes of a package that it does not install here; a package of a platform is named after it. */
function entryOf(name, version, owner) {
  const words = name.split(/[^a-z0-9]+/);
  const cpu = PROCESSORS.filter((processor) => words.includes(processor));
  const os = SYSTEMS.filter((system) => words.includes(system));
  if (!/^\d+\.\d+\.\d+/.test(version) || cpu.length + os.length === 0)
    throw new Error(`${name}@${version} does not name a platform: install where the registry has it`);
  const libc = name.includes('musl') ? ['musl'] : name.includes('gnu') ? ['glibc'] : undefined;
  return {
    version,
    ...(cpu.length > 0 && { cpu }),
    ...(owner.dev && { dev: true }),
    ...(libc && { libc }),
    ...(owner.license && { license: owner.license }),
    optional: true,
    ...(os.length > 0 && { os }),
    ...(owner.engines && { engines: owner.engines }),
  };
}
