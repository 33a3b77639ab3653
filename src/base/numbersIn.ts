/** `bytes` as `count` numbers of `size` bytes each: a view where the bytes are aligned, otherwise of a copy. */
export function numbersIn<T extends ArrayLike<number>>(
  Numbers: new (buffer: ArrayBufferLike, offset: number, length: number) => T,
  size: number,
  bytes: Uint8Array,
  count: number,
): T {
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice(0, count * size);
  return new Numbers(aligned.buffer, aligned.byteOffset, count);
}
