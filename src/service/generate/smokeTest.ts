import { type ErrorData, errorData, RankscopeError } from '../../base/errors.ts';
import { formatCount } from '../../base/quantities.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { countParameters } from '../../checkpoint/ties.ts';
import type { SmokeTest } from '../../model/generation.ts';
import { type Network, openNetwork } from '../../network/network.ts';
import type { ApplyRequest, CallContext, StepProgress } from '../../protocol/service.ts';
import type { OpenCheckpoints, Opened } from '../checkpoints/opened.ts';
import type { Devices } from '../devices/devices.ts';
import { continueBeside } from './continueBeside.ts';
import { fileVariant } from './generate.ts';
import { type Prompt, readPrompt } from './prompt.ts';

const PROMPT = 'Once upon a time';
const TOKENS = 32;
/** A larger network takes minutes on a processor: the person is told how to start the test. */
const MOST_PARAMETERS = 1.5e9;

/** What is tried: a file that was written from an open checkpoint. */
interface Written {
  readonly opened: Opened;
  readonly out: string;
  readonly request: Omit<ApplyRequest, 'plan' | 'out'>;
  /** The most parameters of a network that is tried. */
  readonly mostParameters?: number;
}

/**
 * Reads a written checkpoint again from disk and has it continue a prompt beside the dense network. Never throws: the
 * file is complete, whatever comes of the test.
 */
export async function smokeTest(
  devices: Devices,
  checkpoints: OpenCheckpoints,
  { opened, out, request, mostParameters = MOST_PARAMETERS }: Written,
  { signal, progress }: CallContext<StepProgress>,
): Promise<SmokeTest> {
  const { checkpoint } = opened;
  const parameters = countParameters(checkpoint.tensors, opened.ties());
  try {
    const network = await openNetwork(checkpoint, { signal });
    if (parameters > mostParameters)
      return {
        leftOut:
          `the model has ${formatCount(parameters)} parameters, and it is started by itself up to ` +
          `${formatCount(mostParameters)}: rankscope generate ${checkpoint.path} --prompt TEXT --file ${out}`,
      };
    const prompt = await promptOf(checkpoint, network, signal);
    return await tried(prompt, network);
  } catch (error) {
    return { leftOut: reasonOf(errorData(error, out)) };
  }

  async function tried(prompt: Prompt, network: Network): Promise<SmokeTest> {
    try {
      const generation = await checkpoints.use(out, signal, (file) =>
        devices.run(devices.settle(request), out, { signal }, (backend) =>
          continueBeside(backend, {
            opened,
            network,
            prompt,
            tokens: TOKENS,
            variant: fileVariant(network, file),
            file,
            signal,
            progress,
          }),
        ),
      );
      return { generation };
    } catch (error) {
      const data = errorData(error, out);
      // Neither says anything of the file.
      const isLeftOut = data.code === 'cancelled' || data.code === 'too-large';
      return isLeftOut ? { leftOut: reasonOf(data) } : { failed: reasonOf(data) };
    }
  }
}

/** The short prompt, or where there is no tokenizer, the token that begins a text. */
async function promptOf(checkpoint: Checkpoint, network: Network, signal: AbortSignal | undefined): Promise<Prompt> {
  try {
    return await readPrompt(checkpoint, network, { prompt: PROMPT }, signal);
  } catch (error) {
    const start = checkpoint.configuration?.bos_token_id;
    const isMissing = error instanceof RankscopeError && ['not-found', 'unsupported'].includes(error.code);
    if (!isMissing || typeof start !== 'number') throw error;
    return { ids: [start], text: null, tokenizer: undefined, source: 'the start token: there is no tokenizer' };
  }
}

function reasonOf({ code, subject, found, remedy }: ErrorData): string {
  if (code === 'cancelled') return 'it was stopped';
  return [`${subject}: ${found}`, remedy].filter(Boolean).join('. ');
}
