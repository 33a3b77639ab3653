import { isUtf8 } from 'node:buffer';
import { RankscopeError } from '../base/errors.ts';
import type { ByteSource } from '../bytes/source/byteSource.ts';
import type { Format } from '../formats/format.ts';

/**
 * Refuses a file that is known not to be a checkpoint, and says what it is. `named` is the format that the file's name
 * suggests.
 * @throws RankscopeError 'not-a-checkpoint'
 */
export function refuseOthers(source: ByteSource, head: Uint8Array, named: Format | undefined): void {
  const fail = (found: string, remedy: string): never => {
    throw new RankscopeError('not-a-checkpoint', source.name, found, remedy);
  };
  if (source.size === 0) fail('the file is empty', 'Copy or download it again');
  const text = Buffer.from(head).toString('latin1');
  if (text.startsWith('version https://git-lfs.github.com/')) {
    const size = /\nsize (\d{1,15})\n/.exec(text)?.[1];
    fail(
      `this is a Git LFS pointer to the real file${size ? ` of ${size} bytes` : ''}, not the file itself`,
      'Fetch it with: git lfs pull',
    );
  }
  if (/^\s*(<!doctype html|<html|<\?xml|<head|<body)/i.test(text))
    fail('this is a web page, not a checkpoint', 'The download returned an error or login page: download it again');
  for (const [magic, what, remedy, at = 0] of OTHERS) if (text.startsWith(magic, at)) fail(`this is ${what}`, remedy);
  if (source.size < 8) fail(`the file has only ${source.size} bytes`, 'It is truncated: copy or download it again');
  if (head.every((byte) => byte === 0))
    fail('the file begins with zeros only', 'The download was not completed: download it again');
  if (/^\s*[{[]\s*["{[\d]/.test(text) && !named?.extensions.some((extension) => extension.endsWith('.json')))
    fail('this is a JSON file, not a checkpoint', 'If it is the configuration of a model, open the folder');
  if (/group\d+-shard\d+of\d+(\.bin)?$/.test(source.name))
    fail('these are weights of a TensorFlow.js model without its description', 'Open model.json beside it');
  // The head may end in the middle of a character.
  const isText =
    /^[\t\n\r\x20-\x7e\x80-\xff]+$/.test(text) &&
    [0, 1, 2, 3].some((cut) => isUtf8(head.subarray(0, head.length - cut)));
  if (!named && isText) fail('this is a text file, not a checkpoint', '');
  for (const [extension, what, remedy] of NAMED)
    if (source.name.toLowerCase().endsWith(extension)) fail(`its name says that it is ${what}`, remedy);
}

/**
 * Refuses checkpoints of other libraries that consist of a folder, recognized by the names in the folder or by the file
 * that was named.
 * @throws RankscopeError 'unsupported'
 */
export function refuseFolders(path: string, names: readonly string[]): void {
  for (const { is, what, remedy } of FOLDERS)
    if (names.some((name) => is.test(name))) throw new RankscopeError('unsupported', path, `this is ${what}`, remedy);
}

const TO_ARRAYS = 'Load it with JAX and write its arrays with safetensors.flax.save_file or numpy.savez';
const JOIN_ZERO = 'Join it with the script beside the folder: python zero_to_fp32.py . model.pt';
const FOLDERS: readonly { readonly is: RegExp; readonly what: string; readonly remedy: string }[] = [
  {
    is: /^(manifest\.ocdbt|ocdbt\.process_\d+|_CHECKPOINT_METADATA|_sharding)$/,
    what: 'an Orbax checkpoint, whose arrays are in an OCDBT database, which is not supported',
    remedy: TO_ARRAYS,
  },
  { is: /^(\.zarray|\.zgroup|zarr\.json)$/, what: 'a Zarr array or group, which is not supported', remedy: TO_ARRAYS },
  {
    is: /\.distcp$/,
    what: 'a checkpoint of torch.distributed, whose tensors are in pieces',
    remedy: 'Join it with: python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER model.pt',
  },
  { is: /^(bf16_)?zero_pp_rank_\d+_mp_rank_\d+_/, what: 'a part of a DeepSpeed checkpoint', remedy: JOIN_ZERO },
  {
    is: /^mp_rank_\d\d(_\d{3})?$/,
    what: 'a Megatron checkpoint, whose matrices are in slices',
    remedy: 'Convert it to Hugging Face with the conversion script of Megatron',
  },
  {
    is: /^params_shard_\d+\.bin$/,
    what: 'a model of MLC LLM, compiled for one device',
    remedy: 'Open the model that it was compiled from',
  },
];

const UNPACK = 'Unpack it and open its contents';
const ORIGINAL = 'Open the checkpoint that it was converted from';
const OTHERS: readonly (readonly [magic: string, what: string, remedy: string, at?: number])[] = [
  ['\x1f\x8b', 'a gzip archive', UNPACK],
  ['(\xb5\x2f\xfd', 'a zstd archive', UNPACK],
  ['\xfd7zXZ', 'an xz archive', UNPACK],
  ['7z\xbc\xaf', 'a 7-Zip archive', UNPACK],
  ['BZh', 'a bzip2 archive', UNPACK],
  ['Rar!', 'a RAR archive', UNPACK],
  ['\x7fELF', 'a program', ''],
  ['MZqFpD', 'a llamafile, a program with its weights inside', 'Extract the weights with: unzip FILE "*.gguf"'],
  ['MZ', 'a Windows program', ''],
  ['\x89PNG', 'a picture', ''],
  ['%PDF', 'a PDF document', ''],
  ['SQLite format 3', 'a database', ''],
  ['TFL3', 'a TensorFlow Lite model', ORIGINAL, 4],
  ['ET12', 'an ExecuTorch program', ORIGINAL, 4],
  ['ftrt', 'a TensorRT engine', ORIGINAL],
  ['MATLAB 5.0 MAT-file', 'a MATLAB file', 'Load it with scipy.io.loadmat and write its arrays with numpy.savez'],
  ['PAR1', 'a Parquet table', ''],
  ['ARROW1', 'an Arrow table', ''],
  [
    '\x12\x01\0\0\0\0\0\0',
    'a parameter file of MXNet',
    'Load it with mxnet.nd.load and write its arrays with numpy.savez',
  ],
  ['7767517', 'a network of ncnn, without its weights', ORIGINAL],
];

/** Formats without a magic number, by the usual extension. */
const NAMED: readonly (readonly [extension: string, what: string, remedy: string])[] = [
  ['.mlmodel', 'a Core ML model', ORIGINAL],
  ['.caffemodel', 'a Caffe model', 'Convert it to ONNX'],
  ['.pb', 'a TensorFlow graph', 'Open the SavedModel folder or the checkpoint (.index) that it was frozen from'],
  ['.weights', 'a file of Darknet weights', 'Convert it to PyTorch or ONNX'],
  ['.pdiparams', 'a parameter file of a PaddlePaddle program', 'Convert the model to ONNX with paddle2onnx'],
  ['.mnn', 'a model of MNN', ORIGINAL],
  ['.rknn', 'a model of RKNN', ORIGINAL],
  ['.engine', 'a TensorRT engine', ORIGINAL],
  ['.tflite', 'a TensorFlow Lite model', ORIGINAL],
];
