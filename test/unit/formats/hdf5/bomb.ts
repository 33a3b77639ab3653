/** An old-style HDF5 file whose root has `links` links with one shared name of `nameLength` bytes. */
export function sharedNameFile(links: number, nameLength: number): Uint8Array {
  const [header, tree, heap, node] = [96, 160, 224, 256];
  const names = node + 8 + 40 * links;
  const bytes = Buffer.alloc(names + nameLength + 8);
  const place = (at: number, ...values: number[]) => {
    for (const [i, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), at + 8 * i);
  };
  // Superblock of version 0: base, free space, end, driver; then the root's entry: name and header.
  bytes.set([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0, 0, 8, 8]);
  place(24, 0, 0, bytes.length, 0, 0, header);
  // A header with one message, the symbol table.
  bytes.set([1, 0, 1, 0], header);
  bytes.writeUInt32LE(24, header + 8);
  bytes.set([0x11, 0, 16, 0], header + 16);
  place(header + 24, tree, heap);
  // A tree of one node: no siblings, a key, a child.
  bytes.write('TREE\x00\x00\x01\x00', tree, 'latin1');
  place(tree + 8, 0, 0, 0, node);
  bytes.write('HEAP', heap, 'latin1');
  place(heap + 8, nameLength + 8, 0, names);
  bytes.write('SNOD\x01\x00', node, 'latin1');
  bytes.writeUInt16LE(links, node + 6);
  for (let i = 0; i < links; i++) place(node + 8 + 40 * i, 0, header);
  bytes.fill('n', names, names + nameLength);
  return bytes;
}
