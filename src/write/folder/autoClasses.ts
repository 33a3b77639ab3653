/** The `Auto` classes that open a class of transformers, by the end of its name, for tasks whose names differ. */
const BY_ENDING: readonly (readonly [ending: RegExp, autos: readonly string[]])[] = [
  [
    /(LMHeadModel|ModelWithLMHead)$/,
    ['AutoModelForCausalLM', 'AutoModelForMaskedLM', 'AutoModelForPreTraining', 'AutoModelWithLMHead'],
  ],
  [
    /ForConditionalGeneration$/,
    [
      'AutoModelForSeq2SeqLM',
      'AutoModelForImageTextToText',
      'AutoModelForMultimodalLM',
      'AutoModelForSpeechSeq2Seq',
      'AutoModelForVision2Seq',
      'AutoModelForCausalLM',
      'AutoModelForTextToWaveform',
      'AutoModelForVisualQuestionAnswering',
      'AutoModelForMaskedLM',
      'AutoModelForPreTraining',
      'AutoModelWithLMHead',
    ],
  ],
  [
    /ForCausalLM$/,
    [
      'AutoModelForCausalLM',
      'AutoModelForPreTraining',
      'AutoModelForMultimodalLM',
      'AutoModelForImageTextToText',
      'AutoModelForVision2Seq',
      'AutoModelWithLMHead',
    ],
  ],
  [/ForMaskedLM$/, ['AutoModelForMaskedLM', 'AutoModelForPreTraining', 'AutoModelWithLMHead']],
  [/(MTModel|ForTextToText)$/, ['AutoModelForSeq2SeqLM', 'AutoModelWithLMHead']],
  [/ForSpeechToText$/, ['AutoModelForSpeechSeq2Seq']],
  [/ForTextToSpeech$/, ['AutoModelForTextToSpectrogram', 'AutoModelForTextToWaveform']],
  [
    /(Text2Text|ForBlockDiffusion)$/,
    ['AutoModelForImageTextToText', 'AutoModelForMultimodalLM', 'AutoModelForPreTraining'],
  ],
  [/ForRetrieval$/, ['AutoModelForPreTraining']],
  [/ForSequenceClassification$/, ['AutoModelForSequenceClassification', 'AutoModelForAudioClassification']],
  [
    /ForQuestionAnswering\w*$/,
    [
      'AutoModelForQuestionAnswering',
      'AutoModelForDocumentQuestionAnswering',
      'AutoModelForTableQuestionAnswering',
      'AutoModelForVisualQuestionAnswering',
    ],
  ],
  [/ForImageClassification\w*$/, ['AutoModelForImageClassification']],
  [/ForImageTextRetrieval$/, ['AutoModelForZeroShotImageClassification']],
  [/ForImageSuperResolution$/, ['AutoModelForImageToImage']],
  [/ForObjectDetection$/, ['AutoModelForObjectDetection', 'AutoModelForZeroShotObjectDetection']],
  [/ForInstanceSegmentation$/, ['AutoModelForInstanceSegmentation', 'AutoModelForUniversalSegmentation']],
  [/ForSegmentation$/, ['AutoModelForImageSegmentation', 'AutoModelForUniversalSegmentation']],
  [/ForPrediction$/, ['AutoModelForTimeSeriesPrediction']],
  [/ForXVector$/, ['AutoModelForAudioXVector']],
  [/Backbone$/, ['AutoModel', 'AutoBackbone']],
  [
    /EncoderDecoderModel$/,
    [
      'AutoModel',
      'AutoModelForSeq2SeqLM',
      'AutoModelForSpeechSeq2Seq',
      'AutoModelForImageTextToText',
      'AutoModelForMultimodalLM',
      'AutoModelForVision2Seq',
      'AutoModelWithLMHead',
    ],
  ],
  [/Decoder$/, ['AutoModelForCausalLM']],
];
/** Tasks after which transformers names an `Auto` class, with the same name. */
const TASKS = new Set(
  (
    'PreTraining TokenClassification MultipleChoice NextSentencePrediction SemanticSegmentation UniversalSegmentation ' +
    'VideoClassification AudioClassification AudioFrameClassification CTC RNNT TDT DepthEstimation NormalEstimation ' +
    'PointmapEstimation PoseEstimation KeypointDetection KeypointMatching MaskedImageModeling ImageMatting ' +
    'TableRecognition TextRecognition MaskGeneration Decision'
  ).split(' '),
);
/** Tasks of models whose names do not tell them. */
const UNNAMED_TASKS = [
  'AutoModelForTextEncoding',
  'AutoModelForZeroShotImageClassification',
  'AutoModelForMaskGeneration',
  'AutoModelForAudioTokenization',
  'AutoModelForTextToWaveform',
  'AutoModelForTextToSpectrogram',
  'AutoModelForImageTextToText',
  'AutoModelForMultimodalLM',
  'AutoModelForPreTraining',
];

/**
 * The `Auto` classes of transformers that open `architecture`, which a folder has to name: for any other one,
 * transformers builds a stock class and leaves the weights that it misses random. The first one is that of its task.
 * Where there is none, `AutoModel` is the only way to the class.
 */
export function autoClasses(architecture: string): readonly string[] {
  const known = BY_ENDING.find(([ending]) => ending.test(architecture))?.[1];
  if (known !== undefined) return known;
  const [, task] = /For([A-Z]\w*)$/.exec(architecture) ?? [];
  if (task !== undefined && TASKS.has(task)) return [`AutoModelFor${task}`];
  return ['AutoModel', ...(task === undefined ? UNNAMED_TASKS : [])];
}
