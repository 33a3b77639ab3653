import { flaxBytes, SAMPLE } from './flaxBytes.ts';
import { fuzz } from './fuzz.ts';

fuzz('Flax', () => ({ 'a.msgpack': flaxBytes(SAMPLE) }));
