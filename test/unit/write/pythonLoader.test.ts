import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CORE, LOADER } from '../../../src/write/python.ts';
import { joinPython } from '../../../src/write/pythonParts.ts';
import { scratchFolder } from './written.ts';

const PYTHON = process.env.RANKSCOPE_PYTHON;

/** Functions of loader_cases.py, and what each of them shows. */
const CASES: Readonly<Record<string, string>> = {
  layers_of_torch: 'makes embeddings and linear layers low-rank, with all of their attributes',
  life_of_a_model: 'gives a model that can be copied, saved, traced, compiled, converted and trained',
  convolutions: 'makes convolutions low-rank, with any stride, padding and dilation',
  layers_without_a_low_rank_form: 'gives grouped and transposed convolutions the product as their weight',
  subclasses_with_code_of_their_own: 'keeps layers whose class computes something else, and names them',
  subclasses_without_code_of_their_own: 'makes a layer low-rank whose class changes nothing but its start',
  hooks: 'keeps layers that have hooks or a forward of their own, and names them',
  a_patched_torch: 'keeps layers of a class that a program has patched',
  parametrized_layers: 'loads parametrized layers, also from files of older versions of torch',
  shared_weights: 'shares factors between layers that share a weight',
  a_shared_weight_with_one_unknown_layer: 'keeps a weight shared if one of its layers cannot be low-rank',
  equal_weights_of_a_file: 'shares factors between layers whose weights are one in the file',
  two_values_for_a_shared_weight: 'refuses a file with two values for a weight that the model shares',
  equal_matrices_of_zeros: 'keeps equal matrices apart that are not tied',
  nothing_is_changed_on_a_misfit: 'leaves a model as it was if the file does not fit, and says why',
  wrappers: 'loads a part of a model, and models that torch wraps',
  devices_and_dtypes: 'keeps the dtypes of the model, and gives memory to what is on meta',
  buffers: 'loads buffers that are saved, and keeps those that are not',
  layers_that_are_used_past_the_model: 'changes layers in place, for code that keeps them elsewhere',
  code_that_asks_for_the_class: 'keeps layers instances of their own class',
  code_that_writes_to_the_weight: 'refuses writing to a weight that is a product, where the change would be lost',
  code_that_reads_the_weight: 'serves code that reads the weight of a layer',
  matrices_stored_as_their_transpose: 'makes Conv1D low-rank, whichever way round its matrix was planned',
  factors_that_matrices_share: 'makes a factor that matrices share one parameter, and loads what is saved of it',
  weights_that_are_merged_on_loading:
    'holds the factors of what a model merges on loading, with the parts that stay dense',
  experts_of_one_tensor: 'holds each expert of a stack with its rank, and refuses a file that lacks a part of one',
  a_low_rank_model_saved_to_a_file:
    'loads a file that a low-rank model was saved to, and asks the model for its layouts',
};

describe('load_lowrank', function () {
  this.timeout(180_000);
  const folder = scratchFolder();
  let outcome: Record<string, string | null> = {};

  before(function () {
    if (!PYTHON) {
      for (const test of this.currentTest?.parent?.tests ?? []) test.title += ' (RANKSCOPE_PYTHON names no Python)';
      return this.skip();
    }
    const { imports, body } = joinPython([...CORE[2], 'conv1d', 'embedding', 'conv', ...LOADER]);
    const code = join(folder, 'generated.py');
    writeFileSync(code, `${imports}\n\n\n${body}\n`);
    assert.deepEqual(
      body.split('\n').filter((line) => line.length > 120),
      [],
    );
    const script = resolve('test/python/loader_cases.py');
    const printed = execFileSync(PYTHON, [script, code, ...Object.keys(CASES)], {
      encoding: 'utf8',
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    outcome = JSON.parse(printed) as typeof outcome;
  });

  for (const [name, title] of Object.entries(CASES)) it(title, () => assert.equal(outcome[name], null));
});
