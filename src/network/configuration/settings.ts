import { RankscopeError } from '../../base/errors.ts';
import { isObject, type JsonObject } from '../../bytes/boundedJson.ts';

/** The values of a configuration, checked as they are read. A null counts as absent, as in transformers. */
export class Settings {
  constructor(
    /** The checkpoint, for errors. */
    readonly subject: string,
    private readonly values: JsonObject,
  ) {}

  /** @throws RankscopeError 'malformed' if the value is absent without a fallback, or not a positive integer */
  count(key: string, fallback?: number): number {
    const value = this.value(key) ?? fallback;
    if (Number.isSafeInteger(value) && (value as number) > 0) return value as number;
    return this.refuse(key, 'a positive integer');
  }

  /** @throws RankscopeError 'malformed' if the value is absent without a fallback, or not a finite number */
  number(key: string, fallback?: number): number {
    const value = this.value(key) ?? fallback;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    return this.refuse(key, 'a finite number');
  }

  /** @throws RankscopeError 'malformed' if the value is absent without a fallback, or not a finite number from 0 on */
  size(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    return value >= 0 ? value : this.refuse(key, 'at least 0');
  }

  /** @throws RankscopeError 'malformed' if the value is absent without a fallback, or not a finite number above 0 */
  factor(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    return value > 0 ? value : this.refuse(key, 'above 0');
  }

  flag(key: string, fallback = false): boolean {
    const value = this.value(key) ?? fallback;
    return typeof value === 'boolean' ? value : this.refuse(key, 'true or false');
  }

  text(key: string, fallback?: string): string {
    const value = this.value(key) ?? fallback;
    return typeof value === 'string' ? value : this.refuse(key, 'a text');
  }

  numbers(key: string): readonly number[] {
    const value = this.value(key);
    if (Array.isArray(value) && value.every((item) => Number.isFinite(item))) return value as number[];
    return this.refuse(key, 'a list of numbers');
  }

  /** The nested settings under `key`; undefined without them. */
  group(key: string): Settings | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    return isObject(value) ? new Settings(this.subject, value) : this.refuse(key, 'an object');
  }

  has(key: string): boolean {
    return this.value(key) !== undefined;
  }

  /** The item of a list with one for each layer. */
  ofLayer(key: string, layer: number): unknown {
    const value = this.value(key);
    if (Array.isArray(value) && layer < value.length) return value[layer];
    return this.refuse(key, 'a list with an item for each layer');
  }

  refuse(key: string, wanted: string): never {
    const value = this.value(key);
    const found = value === undefined ? 'missing' : `${JSON.stringify(value)?.slice(0, 80)}`;
    throw new RankscopeError('malformed', this.subject, `the configuration's "${key}" is ${found}, not ${wanted}`);
  }

  private value(key: string): unknown {
    return Object.hasOwn(this.values, key) ? (this.values[key] ?? undefined) : undefined;
  }
}
