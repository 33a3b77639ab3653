/** Protobuf messages built field by field, so that tests can make any byte invalid. */

export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

export const number = (field: number, value: number | bigint): Buffer =>
  Buffer.concat([varint(field << 3), varint(value)]);

export function message(field: number, ...parts: (Uint8Array | string)[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array)));
  return Buffer.concat([varint((field << 3) | 2), varint(content.length), content]);
}

export const f32s = (...values: number[]): Buffer => Buffer.from(Float32Array.from(values).buffer);

/** The content of a TensorProto. */
export function tensor(
  name: string,
  dims: readonly (number | bigint)[],
  type: number,
  ...values: Uint8Array[]
): Buffer {
  return Buffer.concat([...dims.map((size) => number(1, size)), number(2, type), message(8, name), ...values]);
}

export const attribute = (name: string, ...parts: Uint8Array[]): Buffer => message(5, message(1, name), ...parts);

export const node = (
  operator: string,
  inputs: readonly string[],
  output: string,
  ...attributes: Uint8Array[]
): Buffer =>
  message(1, ...inputs.map((input) => message(1, input)), message(2, output), message(4, operator), ...attributes);

/** A ModelProto around the content of a graph. */
export const model = (...graph: Uint8Array[]): Buffer =>
  Buffer.concat([number(1, 8), message(2, 'test'), message(7, ...graph)]);
