/** An .npy file of version 1 with `header` and `data`. */
export function npyBytes(header: string, data: ArrayBufferView): Buffer {
  const text = Buffer.from(`${header}\n`);
  const start = Buffer.alloc(10);
  start.write('\x93NUMPY\x01\x00', 'latin1');
  start.writeUInt16LE(text.length, 8);
  return Buffer.concat([start, text, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)]);
}

export function npyHeader(descr: string, shape: readonly number[], fortran = false): string {
  const sizes = shape.map((size) => `${size},`).join(' ');
  return `{'descr': '${descr}', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (${sizes}), }`;
}
