import type { MatrixView } from '../../protocol/service.ts';
import type { Session } from './session.ts';

/** Checkpoints that are shown beside each other: the matrix that is chosen in one is shown in all. */
export class SideBySide {
  private groups: readonly (readonly Session[])[] = [];

  /** From now on these belong together, and no longer to others. */
  put(sessions: readonly Session[]): void {
    const others = this.groups.map((group) => group.filter((session) => !sessions.includes(session)));
    this.groups = [...others, sessions].filter((group) => group.length > 1);
  }

  /** A person chose the matrix `name` of `session`. */
  choose(session: Session, name: string): void {
    session.choose(name);
    const chosen = session.view?.matrices.find((matrix) => matrix.name === name);
    const group = this.groups.find((members) => members.includes(session)) ?? [];
    if (!chosen) return;
    for (const other of group) {
      const matrix = other === session ? undefined : counterpart(chosen, other.view?.matrices ?? []);
      if (matrix) other.select(matrix.name);
    }
  }
}

/** The matrix of the same name, or else, as where the formats differ, the one at the same place of the network. */
function counterpart(chosen: MatrixView, matrices: readonly MatrixView[]): MatrixView | undefined {
  return (
    matrices.find(({ name }) => name === chosen.name) ??
    matrices.find(({ layer, module }) => layer === chosen.layer && module === chosen.module)
  );
}
