import { readFileSync } from 'node:fs';
import { fuzz } from '../fuzz.ts';

fuzz('keras', () => ({ 'model.keras': readFileSync(new URL('../../../fixtures/keras/model.keras', import.meta.url)) }));
