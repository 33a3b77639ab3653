export * from './chase';
export { decode } from './decode';
export { gemm, gemmScratch } from './gemm';
export * from './move';
export * from './panel';
export * from './sync';
