import { type Zippable, zipSync } from 'fflate';

/** A zip archive of these files, stored or deflated at `level`. */
export function zipBytes(files: Readonly<Record<string, Uint8Array>>, level: 0 | 1 | 6 = 0): Buffer {
  return Buffer.from(zipSync(files as Zippable, { level, mtime: new Date(2020, 1, 1) }));
}

/** torch.save's archive of `object` with F32 storages. */
export function torchZip(
  object: Uint8Array,
  storages: Readonly<Record<string, readonly number[]>>,
  level: 0 | 1 | 6 = 0,
): Buffer {
  const data = Object.entries(storages).map(([key, values]) => [
    `archive/data/${key}`,
    new Uint8Array(new Float32Array(values).buffer),
  ]);
  return zipBytes(
    { 'archive/data.pkl': object, 'archive/byteorder': Buffer.from('little'), ...Object.fromEntries(data) },
    level,
  );
}
