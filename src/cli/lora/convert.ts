import { type ConvertRequest, LORA_LOADERS, LORA_NAMES } from '../../model/lora/written.ts';
import { COMMON_HELP, type Command, choiceOf, type Invocation, textOf } from '../command.ts';
import { showWritten, targetOf, WRITING, writingHelp } from './written.ts';

export const loraConvertCommand: Command = {
  name: 'lora convert',
  usage: 'PATH --out OUT [--to peft|kohya|diffusers] [--target vllm]',
  summary: 'an adapter under the names of another library, as a loader reads it',
  help: `  PATH                an adapter: a file or the folder of PEFT
  --out OUT           the folder to write for PEFT, the safetensors file for other names
  --to NAMES          peft (default), kohya or diffusers
  --target LOADER     peft (default), vllm, llama.cpp or comfyui: what it ignores (ranks and alphas of single layers, the
                      configuration) is put into the factors, and what it cannot load is refused
  --base PATH         the model that has the modules, whose names kohya joins with underscores
${writingHelp('loraWritten')}
${COMMON_HELP}

Examples:
  rankscope lora convert adapter/ --target vllm --out for-vllm/
  rankscope lora convert style.safetensors --base unet/ --out style-peft/`,
  options: { ...WRITING, to: { type: 'string' }, target: { type: 'string' }, base: { type: 'string' } },
  run: (invocation) => showWritten(invocation, requestOf(invocation)),
};

function requestOf(invocation: Invocation): ConvertRequest {
  const { path, values } = invocation;
  const loader = choiceOf(values, 'target', LORA_LOADERS);
  const base = textOf(values, 'base');
  return {
    kind: 'convert',
    path,
    names: choiceOf(values, 'to', LORA_NAMES) ?? 'peft',
    ...targetOf(invocation),
    ...(loader ? { loader } : {}),
    ...(base === undefined ? {} : { base }),
  };
}
