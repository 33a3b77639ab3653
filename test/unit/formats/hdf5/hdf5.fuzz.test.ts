import { readFileSync } from 'node:fs';
import { fuzz } from '../fuzz.ts';

const file = (name: string) => readFileSync(new URL(`../../../fixtures/hdf5/${name}`, import.meta.url));

fuzz('hdf5', () => ({ 'layouts.h5': file('layouts.h5'), 'newest.h5': file('newest.h5') }));
