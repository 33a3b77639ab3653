import { element } from './dom.ts';

/** Shows lines of text beside a point of `area`, on the side with room: neither clipped nor under the pointer. */
export function showTip(area: HTMLElement, tip: HTMLElement, lines: readonly string[], x: number, y: number): void {
  tip.replaceChildren(...lines.map((text) => element('div', { text })));
  tip.hidden = false;
  const left = x + 16 + tip.offsetWidth > area.clientWidth ? x - 12 - tip.offsetWidth : x + 16;
  const top = y + 16 + tip.offsetHeight > area.clientHeight ? y - 12 - tip.offsetHeight : y + 16;
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top = `${Math.max(-20, top)}px`;
}

export function hideTip(tip: HTMLElement): void {
  tip.hidden = true;
}
