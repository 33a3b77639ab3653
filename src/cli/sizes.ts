import { UsageError } from './command.ts';

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/** `500MB` or `1.5GiB` as bytes. @throws UsageError */
export function bytesOf(text: string, option: string, least: number): number {
  const [, number, unit = 'b'] = /^(\d+(?:\.\d+)?)\s*([kmg]?i?b)?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * (UNITS[unit.toLowerCase()] ?? Number.NaN));
  if (!(bytes >= least)) throw new UsageError(`--${option} takes a size such as 2GB or 500MiB, not '${text}'`);
  return bytes;
}

const THOUSANDS: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, b: 1e9, t: 1e12 };

/** `900M` or `1.2G` as a number. @throws UsageError */
export function countOf(text: string, option: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgbt])?$/i.exec(text) ?? [];
  const count = Number(number) * THOUSANDS[unit.toLowerCase()]!;
  if (!(count >= 1)) throw new UsageError(`--${option} takes a number such as 900M or 1.2G, not '${text}'`);
  return count;
}
