/** Shares of the energy (the summed squared singular values) for which the smallest sufficient rank is given. */
export const ENERGY_LEVELS = ['0.9', '0.95', '0.99', '0.999'] as const;
export type EnergyLevel = (typeof ENERGY_LEVELS)[number];
