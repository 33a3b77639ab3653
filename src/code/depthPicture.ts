import type { FindingInCode } from './codeCalls.ts';

const WIDTH = 320;
const HEIGHT = 52;
/** Room for the dots at the edges. */
const MARGIN = 5;
// Readable on light and dark backgrounds, and distinguishable by the colour-blind.
const LINE = '#2b8ae2';
const BREAK_EVEN = '#d9822b';
const AXIS = '#8888887f';

/**
 * A chart of effective rank over depth as a data URL. The height is the full rank, the dashed line the break-even rank.
 * undefined for fewer than two layers.
 */
export function depthPicture(findings: readonly FindingInCode[]): string | undefined {
  if (findings.length < 2) return undefined;
  const x = (index: number) => MARGIN + ((WIDTH - 2 * MARGIN) * index) / (findings.length - 1);
  const y = (share: number) => HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * share;
  const share = ({ shape }: FindingInCode, rank: number) => Math.min(1, rank / Math.min(...shape));
  const path = (ranks: readonly number[]) =>
    ranks.map((rank, index) => `${x(index).toFixed(1)},${y(share(findings[index]!, rank)).toFixed(1)}`).join(' ');
  const ranks = path(findings.map(({ effectiveRank }) => effectiveRank));
  const dots = findings.length > 60 ? '' : ranks.split(' ').map(dot).join('');
  const svg = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}">`,
    `<path d="M${MARGIN} ${y(1)}V${y(0)}H${WIDTH - MARGIN}" fill="none" stroke="${AXIS}"/>`,
    `<polyline points="${path(findings.map(({ breakEvenRank }) => breakEvenRank))}" fill="none" stroke="${BREAK_EVEN}" stroke-dasharray="4 3"/>`,
    `<polyline points="${ranks}" fill="none" stroke="${LINE}" stroke-width="1.5"/>`,
    dots,
    '</svg>',
  ].join('');
  return `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`;
}

function dot(point: string): string {
  const [x, y] = point.split(',');
  return `<circle cx="${x}" cy="${y}" r="2.2" fill="${LINE}"/>`;
}
