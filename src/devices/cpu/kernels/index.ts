export * from './sync';
export { gemm, gemmScratch } from './gemm';
export * from './move';
export * from './panel';
export * from './chase';
export { decode } from './decode';
