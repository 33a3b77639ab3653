import { join, parse } from 'node:path';

const ENDING = '.safetensors';

/** Where the factorized checkpoint goes unless the person says otherwise: beside its source, under a name of its own. */
export function suggestedTarget(source: string): string {
  const { dir, name } = parse(source.replace(/\.safetensors\.index\.json$/i, ENDING));
  return join(dir, `${name}.lowrank${ENDING}`);
}

/** The Python file that belongs to a factorized checkpoint; its name can be imported. */
export function codePathOf(target: string): string {
  const { dir, name } = parse(target);
  const module = name.replace(/\W+/g, '_').replace(/^(?=\d)/, '_');
  return join(dir, `${module}.py`);
}

/** Where a plan is saved unless the person says otherwise. The ending is the one whose schema the editor knows. */
export function suggestedPlanFile(source: string): string {
  const { dir, name } = parse(source);
  return join(dir, `${name}.rankplan.json`);
}
