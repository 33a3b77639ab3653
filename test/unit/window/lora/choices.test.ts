import assert from 'node:assert/strict';
import { countLora } from '../../../../src/model/lora/count.ts';
import { usualModel } from '../../../../src/model/lora/usualModels.ts';
import { loraChoices, suggestionDocument } from '../../../../src/window/lora/choices.ts';

describe('the choices of LoRA in the editor', () => {
  it('say what each set of modules and rank costs, and where factors are larger than their matrices', () => {
    const choices = loraChoices(countLora(usualModel('Llama-3.1-8B')!, [16, 1024]));
    assert.deepEqual(
      [choices[0]?.label, choices[0]?.description],
      ['all-linear, rank 16', '41,943,040 parameters, 0.522 % of the model'],
    );
    assert.match(choices[1]?.description ?? '', /; in 64 modules more than the matrix itself has$/);
    assert.equal(choices[0]?.detail, '671 MB for training with Adam in f32, a file of 83.9 MB');
  });

  it('become a Python file that states the reason for every rank', () => {
    const document = suggestionDocument({
      format: 'rankscope.loraSuggestion/1',
      path: 'm',
      targets: 'all-linear',
      budget: 20,
      parameters: 16,
      modules: [{ name: 'l.0.q', shape: [4, 4], effectiveRank: 3, seen: false, rank: 2, reason: 'it uses three' }],
      reasoning: ['Because.'],
      uniformRank: 3,
      targetModules: ['q'],
    });
    assert.match(
      document,
      /^# LoRA for m: 16 parameters of 20\.\n# Because\.\n#\n# l\.0\.q: rank 2; it uses three\n\nfrom peft/,
    );
    assert.match(document, /rank_pattern=\{\n {8}r"l\\\.0\\\.q": 2,\n {4}\}/);
  });
});
