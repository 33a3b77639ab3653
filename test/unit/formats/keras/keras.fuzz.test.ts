import { readFileSync } from 'node:fs';
import { fuzz } from '../fuzz.ts';

const file = (name: string) => readFileSync(new URL(`../../../fixtures/keras/${name}`, import.meta.url));

fuzz('keras', () => ({ 'model.keras': file('model.keras'), 'bfloat16.keras': file('bfloat16.keras') }));
