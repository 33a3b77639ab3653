export { bidiagonalPair } from './bidiagonalVectors';
export * from './chase';
export { applyChaseBlocks, formChaseBlocks } from './chaseBack';
export { decode } from './decode';
export { gemm, gemmScratch } from './gemm';
export { exponentials, largestAt, weightedDifference } from './logits';
export * from './move';
export * from './panel';
export * from './sync';
