import type { FileContext } from '../file/fileContext.ts';

/** A link of a group, in whichever form it was stored. */
export interface Link {
  readonly name: string;
  /** Of the object's header; undefined where the link leads to a name or to another file. */
  readonly address: number | undefined;
}

/** Bytes that a link takes here besides its name. */
const LINK_BYTES = 150;

/** Before a link is kept: many may share the bytes of one name. @throws RankscopeError 'too-large' */
export function spendLink(file: FileContext, nameLength: number): void {
  file.allowance.spend(LINK_BYTES + 2 * nameLength);
}
