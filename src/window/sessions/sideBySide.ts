import { isSamePlace } from '../../model/place.ts';
import type { MatrixView } from '../../protocol/service.ts';
import type { Session } from './session.ts';

/** Checkpoints shown side by side: a matrix selected in one is shown in all. */
export class SideBySide {
  private groups: readonly (readonly Session[])[] = [];

  /** Groups these checkpoints, and takes them out of any earlier group. */
  put(sessions: readonly Session[]): void {
    const others = this.groups.map((group) => group.filter((session) => !sessions.includes(session)));
    this.groups = [...others, sessions].filter((group) => group.length > 1);
  }

  /** Selects the matrix `name` of `session`, and reveals its counterparts in the others of its group. */
  select(session: Session, name: string): void {
    session.select(name);
    const selected = session.view?.matrices.find((matrix) => matrix.name === name);
    const group = this.groups.find((members) => members.includes(session)) ?? [];
    if (!selected) return;
    for (const other of group) {
      const matrix = other === session ? undefined : counterpart(selected, other.view?.matrices ?? []);
      if (matrix) other.reveal(matrix.name);
    }
  }
}

/** The matrix of the same name, or, where the formats differ, the one at the same place in the network. */
function counterpart(selected: MatrixView, matrices: readonly MatrixView[]): MatrixView | undefined {
  return (
    matrices.find(({ name }) => name === selected.name) ?? matrices.find((matrix) => isSamePlace(matrix, selected))
  );
}
