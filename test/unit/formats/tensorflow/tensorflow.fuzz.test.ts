import { readFileSync } from 'node:fs';
import { fuzz } from '../fuzz.ts';

const file = (name: string) => readFileSync(new URL(`../../../fixtures/tensorflow/${name}`, import.meta.url));

fuzz('tensorflow', () => ({
  'model.ckpt.data-00000-of-00001': file('model.ckpt.data-00000-of-00001'),
  'model.ckpt.index': file('model.ckpt.index'),
}));
