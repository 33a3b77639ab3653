import { join, parse } from 'node:path';

const ENDING = '.safetensors';

/** The default target of a factorized checkpoint: beside its source, under a name of its own. */
export function suggestedTarget(source: string): string {
  const { dir, name } = parse(source.replace(/\.safetensors\.index\.json$/i, ENDING));
  return join(dir, `${name}.lowrank${ENDING}`);
}

/** The Python file of a factorized checkpoint; its name is a valid module name. */
export function codePathOf(target: string): string {
  const { dir, name } = parse(target);
  const module = name.replace(/\W+/g, '_').replace(/^(?=\d)/, '_');
  return join(dir, `${module}.py`);
}

/** The default file of a plan. VS Code validates files with this ending against the schema of plans. */
export function suggestedPlanFile(source: string): string {
  const { dir, name } = parse(source);
  return join(dir, `${name}.rankplan.json`);
}
