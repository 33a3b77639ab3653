/** Bytes at the start of a file that tell for which machine it was built. */
export const HEADER_BYTES = 4096;

type Architecture = string;

const ELF: Readonly<Record<number, Architecture>> = {
  3: 'ia32',
  21: 'ppc64',
  22: 's390x',
  40: 'arm',
  62: 'x64',
  183: 'arm64',
  243: 'riscv64',
  258: 'loong64',
};
const MACH: Readonly<Record<number, Architecture>> = { 7: 'ia32', 16777223: 'x64', 16777228: 'arm64' };
const PE: Readonly<Record<number, Architecture>> = { 332: 'ia32', 34404: 'x64', 43620: 'arm64' };
const FAMILY: Partial<Record<NodeJS.Platform, string>> = { darwin: 'macOS', win32: 'Windows' };

/** Why a file that begins like this is no library of this machine, in words that follow its name. */
export function foreignBinary(
  header: Uint8Array,
  platform: NodeJS.Platform = process.platform,
  architecture: string = process.arch,
): string | undefined {
  const built = machinesOf(header);
  if (built === undefined) return 'is not a shared library';
  const family = FAMILY[platform] ?? 'ELF';
  if (built.family !== family) return `is a library for ${built.family === 'ELF' ? 'Linux' : built.family}`;
  if (built.machines.includes(architecture)) return undefined;
  return `is built for ${built.machines.join(' and ') || 'another processor'}, but this process runs on ${architecture}`;
}

function machinesOf(header: Uint8Array): { family: string; machines: Architecture[] } | undefined {
  if (header.length < 64) return undefined;
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  const magic = view.getUint32(0);
  if (magic === 0x7f454c46) {
    const little = view.getUint8(5) === 1;
    if (view.getUint16(16, little) !== 3) return undefined;
    return { family: 'ELF', machines: named(ELF, [view.getUint16(18, little)]) };
  }
  if (magic === 0xcffaedfe || magic === 0xcefaedfe)
    return { family: 'macOS', machines: named(MACH, [view.getUint32(4, true)]) };
  // A universal binary lists its parts in 20 bytes each.
  if (magic === 0xcafebabe) {
    const count = Math.min(view.getUint32(4), Math.floor((header.length - 8) / 20));
    const kinds = Array.from({ length: count }, (_, i) => view.getUint32(8 + 20 * i));
    return { family: 'macOS', machines: named(MACH, kinds) };
  }
  if (view.getUint16(0) === 0x4d5a) {
    const at = view.getUint32(0x3c, true);
    if (at + 6 > header.length || view.getUint32(at) !== 0x50450000) return undefined;
    return { family: 'Windows', machines: named(PE, [view.getUint16(at + 4, true)]) };
  }
  return undefined;
}

function named(names: Readonly<Record<number, Architecture>>, kinds: readonly number[]): Architecture[] {
  return kinds.flatMap((kind) => names[kind] ?? []);
}
