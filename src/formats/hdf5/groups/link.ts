import type { FileContext } from '../file/fileContext.ts';

/** A link of a group, independent of the form in which it was stored. */
export interface Link {
  readonly name: string;
  /** The address of the object's header; undefined for a soft or external link. */
  readonly address: number | undefined;
}

/** Memory of a link in bytes, besides its name. */
const LINK_BYTES = 150;

/**
 * Pays for a link before it is kept, because many links may share the bytes of one name.
 * @throws RankscopeError 'too-large'
 */
export function spendLink(file: FileContext, nameLength: number): void {
  file.allowance.spend(LINK_BYTES + 2 * nameLength);
}
