import { RankscopeError } from '../../base/errors.ts';
import type { ApplyRequest } from '../../protocol/service.ts';
import { checkTarget } from '../../write/target.ts';
import type { Opened } from '../checkpoints/opened.ts';
import { type RewrittenModel, rewrittenModel } from '../plan/rewrittenModel.ts';
import { filesRead } from './filesRead.ts';

/** Where a result goes, and the model under the names that it has there. */
export interface Destination {
  readonly kind: 'safetensors' | 'gguf' | 'folder';
  readonly model: RewrittenModel;
}

/**
 * Checks the target before any work is done.
 * @throws RankscopeError 'wrong-use' for a target that may not be written, or a form that the result cannot have
 */
export async function destinationOf(
  opened: Opened,
  request: ApplyRequest,
  signal: AbortSignal | undefined,
): Promise<Destination> {
  const { form = 'file', out, overwrite = false, plan, dense = false, style } = request;
  const isStyled = style !== undefined && style !== 'rankscope';
  if (isStyled && (form === 'folder' || dense))
    throw new RankscopeError(
      'wrong-use',
      `style ${style}`,
      dense ? 'dense weights have no factors to name' : 'a folder is read by its own modeling file',
      'Leave the style out, or write one file of factors',
    );
  if (form === 'folder')
    return { kind: 'folder', model: rewrittenModel(opened, plan, await opened.tiesByContent(signal)) };
  await checkTarget({ out, overwrite, sources: filesRead(request, opened), bytes: 0 });
  const ties = await opened.tiesByContent(signal);
  if (!/\.gguf$/i.test(out)) return { kind: 'safetensors', model: rewrittenModel(opened, plan, ties) };
  if (!dense)
    throw new RankscopeError(
      'wrong-use',
      out,
      'GGUF has no low-rank layers, and llama.cpp could not run their factors',
      'Write the truncated matrices themselves (dense), or factors as safetensors',
    );
  const { checkpoint, anatomy } = opened;
  if (checkpoint.format !== 'gguf')
    throw new RankscopeError('wrong-use', out, `the source is ${checkpoint.format}, not GGUF`, 'Write safetensors');
  return { kind: 'gguf', model: { checkpoint, matrices: anatomy.matrices, plan, ties, remarks: [] } };
}
