import {
  type AdapterConfiguration,
  configurationOf,
  patterned,
  undecided,
} from './configuration/adapterConfiguration.ts';
import { type Factor, sharedValues } from './factor.ts';
import { MOST_EXPERTS } from './form.ts';
import { type AdapterPair, pairsOf } from './pairs.ts';
import type { TwoFactors } from './parts.ts';

/** A pair, the pairs that it stands for, or why it stands for none that is known. */
export type Separated = readonly AdapterPair[] | string;

/**
 * Separates the experts that PEFT stores in one pair (`target_parameters`). The factors of all experts of a tensor lie
 * in one A (experts r x in, an expert after the other) and one B (out x r experts, the expert changing fastest); their
 * product would be a sum over the experts. Pairs that adapt a module are returned as they are.
 */
export function separateExperts(
  pairs: readonly AdapterPair[],
  configurations: readonly AdapterConfiguration[],
): Map<AdapterPair, Separated> {
  const wrappers = new Map<string, AdapterPair[]>();
  for (const pair of pairs) {
    const key = JSON.stringify([moduleOf(pair), pair.adapter]);
    wrappers.set(key, [...(wrappers.get(key) ?? []), pair]);
  }
  const separated = new Map<AdapterPair, Separated>();
  for (const group of wrappers.values()) {
    // The first parameter is wrapped first and lies deepest.
    const nested = group.toSorted((one, other) => depthOf(other) - depthOf(one));
    const configuration = configurationOf(nested[0]!.target, configurations);
    const names = parametersOf(nested, configuration);
    for (const [index, pair] of nested.entries())
      separated.set(pair, typeof names === 'string' ? names : separate(pair, names?.[index], configuration));
  }
  return separated;
}

const moduleOf = ({ target }: AdapterPair) => target.replace(/(\.base_layer)+$/, '');
const depthOf = ({ target }: AdapterPair) => target.length;

/**
 * The parameter that each wrapper of a module adapts, outermost last; undefined for a module that is adapted itself.
 */
function parametersOf(
  nested: readonly AdapterPair[],
  configuration: AdapterConfiguration | undefined,
): readonly string[] | undefined | string {
  const module = moduleOf(nested[0]!);
  const names = (configuration?.parameters ?? []).flatMap((parameter) => {
    const dot = parameter.lastIndexOf('.');
    const owner = parameter.slice(0, Math.max(0, dot));
    const fits = owner === '' || module === owner || module.endsWith(`.${owner}`);
    return fits ? [`${module}.${parameter.slice(dot + 1)}`] : [];
  });
  const own = [...new Set(names)];
  if (own.length === 0) {
    const unknown = /(^|\.)experts$/.test(module) && !configuration && nested[0]!.stored.kind === 'lora';
    return unknown
      ? 'it may hold the factors of several experts, whose rank stands in an adapter_config.json: put that beside the file'
      : undefined;
  }
  if (own.length === 1 && nested.length === 1) return own;
  if (own.length === 2 && nested.length === 2) return inOrder(own as [string, string], nested);
  const numbers = own.map((name) => [
    patterned(configuration!.rankPattern, name),
    patterned(configuration!.alphaPattern, name),
  ]);
  const alike = numbers.every(([rank, alpha]) => rank === numbers[0]![0] && alpha === numbers[0]![1]);
  if (alike && nested.length === 1) return [own[0]!.slice(0, own[0]!.lastIndexOf('.'))];
  if (alike) return nested.map((_, index) => (own.length === nested.length ? own[index]! : `${module}.${index}`));
  return `it adapts one of ${own.length} parameters with different ranks or alphas: which one is not stored`;
}

/**
 * Models declare the input side of their experts before the output side, and the outputs of one are the inputs of the
 * other, or twice as many where gate and up share a tensor.
 */
function inOrder([one, other]: [string, string], [inner, outer]: readonly AdapterPair[]): readonly string[] {
  const isOutput = (name: string) => /\.(down_proj|w2|wo|output|output_linear|dense_4h_to_h|fc2)$/.test(name);
  const [first, second] = isOutput(one) && !isOutput(other) ? [other, one] : [one, other];
  const [[innerOut, innerIn], [outerOut, outerIn]] = [inner!.shape, outer!.shape];
  const outerIsInput = innerOut === outerIn && (outerOut === 2 * innerIn || outerOut === innerIn);
  const innerIsInput = outerOut === innerIn && (innerOut === 2 * outerIn || innerOut === outerIn);
  return outerIsInput && !innerIsInput ? [second, first] : [first, second];
}

function separate(
  pair: AdapterPair,
  parameter: string | undefined,
  configuration: AdapterConfiguration | undefined,
): Separated {
  if (parameter === undefined || configuration === undefined || pair.stored.kind !== 'lora') return [pair];
  const { product } = pair.stored;
  const rank = patterned(configuration.rankPattern, parameter) ?? configuration.rank;
  if (typeof rank === 'object') return undecided(rank, configuration);
  const total = product.up.cols;
  if (rank === undefined || !(rank > 0) || total % rank !== 0)
    return `its factors have rank ${total}, which is not a multiple of the rank ${rank} that ${configuration.source} gives each expert`;
  const experts = total / rank;
  const target = parameter.replace(/\.weight$/, '');
  const { adapter, magnitude } = pair;
  const common = { ...(adapter === undefined ? {} : { adapter }), ...(magnitude ? { magnitude } : {}), parameter };
  if (experts === 1) return [{ ...pair, target, parameter }];
  if (experts > MOST_EXPERTS) return `it has ${experts} experts, more than the ${MOST_EXPERTS} supported`;
  return pairsOf(target, { stack: expertFactors(product, experts, rank) }).map((each) => ({ ...each, ...common }));
}

function expertFactors({ up, down }: TwoFactors, experts: number, rank: number): TwoFactors[] {
  const whole = sharedValues(up.tensor);
  return Array.from({ length: experts }, (_, k) => {
    const left: Factor = { ...up, cols: rank, offset: k, colStep: experts, whole };
    const right: Factor = { ...down, rows: rank, offset: k * rank * down.cols };
    return { up: left, down: right };
  });
}
