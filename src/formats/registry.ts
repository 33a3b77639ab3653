import { flax } from './flax/format.ts';
import type { Format } from './format.ts';
import { gguf } from './gguf/format.ts';
import { hdf5 } from './hdf5/format.ts';
import { keras } from './keras/format.ts';
import { llama2c } from './llama2c/format.ts';
import { npy, npz } from './numpy/format.ts';
import { onnx } from './onnx/format.ts';
import { pytorch } from './pytorch/format.ts';
import { safetensors } from './safetensors/format.ts';
import { tensorflow } from './tensorflow/format.ts';
import { tfjs } from './tfjs/format.ts';

/** The formats of single files. Only these may be shards of an index. */
export const FILE_FORMATS: readonly Format[] = [safetensors, gguf, onnx, hdf5, keras, pytorch, llama2c, npz, npy, flax];

/** Every format. In a folder, the first format here that finds an entry file wins. */
export const FORMATS: readonly Format[] = [tfjs, tensorflow, ...FILE_FORMATS];
