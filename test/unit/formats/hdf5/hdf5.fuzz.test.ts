import { readdirSync, readFileSync } from 'node:fs';
import { fuzz } from '../fuzz.ts';
import { reseal, type Seal, sealsOf } from './seals.ts';

const FOLDER = new URL('../../../fixtures/hdf5/', import.meta.url);

function files(folder: URL): Record<string, Uint8Array> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.h5'));
  return Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(new URL(name, folder)))]));
}

const structures = files(new URL('structures/', FOLDER));
const seals = new Map<string, Seal[]>();

fuzz('hdf5', () => files(FOLDER));

fuzz(
  'hdf5 (checksums mended)',
  () => structures,
  async (damaged, name) => {
    let own = seals.get(name);
    if (!own) {
      own = await sealsOf(structures[name]!);
      seals.set(name, own);
    }
    return reseal(damaged, own);
  },
);
