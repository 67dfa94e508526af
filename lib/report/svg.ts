// SPDX-License-Identifier: Apache-2.0
import { escape } from './html';

/** Maps data to pixels, with the ticks that label it. */
export interface Scale {
  (value: number): number;
  readonly ticks: readonly number[];
}

/** Rounds to a tenth of a pixel: short attributes. */
export function px(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** Distances that people read easily: 1, 2 or 5 times a power of ten. */
function niceStep(span: number, wanted: number): number {
  const raw = span / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((m) => m * power >= raw * 0.999) ?? 10;
  return step * power;
}

/**
 * A linear scale over [min, max], widened to whole steps.
 *
 * @param from pixel of the lower end
 * @param to pixel of the upper end
 * @param bounds values that widening must not pass (0 and 1 for a fraction)
 */
export function linear(min: number, max: number, from: number, to: number, wanted: number, bounds: readonly [number, number] = [-Infinity, Infinity]): Scale {
  let [low, high] = [min, max];
  if (!(high > low)) {
    const room = Math.max(Math.abs(high) * 0.05, 1e-3);
    [low, high] = [low - room, high + room];
  }
  const step = niceStep(high - low, wanted);
  low = Math.max(bounds[0], Math.floor(low / step + 1e-9) * step);
  high = Math.min(bounds[1], Math.ceil(high / step - 1e-9) * step);
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-6; i++) ticks.push(Number((i * step).toPrecision(12)));
  const map = (value: number): number => from + ((value - low) / (high - low)) * (to - from);
  return Object.assign(map, { ticks });
}

/** The plotting area inside a picture, in pixels. */
export interface Frame {
  width: number;
  height: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Grid lines, tick labels and axis titles. */
export function axes(frame: Frame, x: Scale, y: Scale, text: { x: string; y: string; xTick: (v: number) => string; yTick: (v: number) => string }): string {
  const { left, right, top, bottom } = frame;
  const parts: string[] = [];
  for (const tick of y.ticks) {
    const at = px(y(tick));
    parts.push(`<path class="grid" d="M${left} ${at}H${right}"/><text class="soft" x="${left - 6}" y="${at}" dy=".35em" text-anchor="end">${escape(text.yTick(tick))}</text>`);
  }
  for (const tick of x.ticks) {
    const at = px(x(tick));
    parts.push(`<path class="grid" d="M${at} ${bottom}v4"/><text class="soft" x="${at}" y="${bottom + 17}" text-anchor="middle">${escape(text.xTick(tick))}</text>`);
  }
  parts.push(`<path class="grid" d="M${left} ${bottom}H${right}"/>`);
  parts.push(`<text class="soft" x="${(left + right) / 2}" y="${bottom + 34}" text-anchor="middle">${escape(text.x)}</text>`);
  parts.push(`<text class="soft" x="${left - 38}" y="${top - 9}">${escape(text.y)}</text>`);
  return parts.join('\n');
}

/** The picture itself; `label` is what a screen reader says. */
export function svg(width: number, height: number, label: string, content: string): string {
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escape(label)}">
${content}
</svg>`;
}

/** Moves labels apart so that none overlaps another, as little as needed; input and result in pixels. */
export function spread(wanted: readonly number[], gap: number, low: number, high: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => (wanted[a] as number) - (wanted[b] as number) || a - b);
  const placed = [...wanted];
  for (let pass = 0; pass < 2; pass++) {
    for (let i = 0; i < order.length; i++) {
      const before = i === 0 ? low - gap : (placed[order[i - 1] as number] as number);
      placed[order[i] as number] = Math.max(placed[order[i] as number] as number, before + gap);
    }
    for (let i = order.length - 1; i >= 0; i--) {
      const after = i === order.length - 1 ? high + gap : (placed[order[i + 1] as number] as number);
      placed[order[i] as number] = Math.min(placed[order[i] as number] as number, after - gap);
    }
  }
  return placed;
}
