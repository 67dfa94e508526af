// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { TinypropError } from '../errors';
import { colour, escape } from './html';

/** A Vega-Lite specification without data, size and configuration of its own; https://vega.github.io/vega-lite/docs/spec.html. */
export type ChartSpec = Readonly<Record<string, unknown>>;

/** One chart of a report. */
export interface Chart {
  caption: string;
  /** What the picture shows, for people who do not see it. */
  label: string;
  /** What to know when reading it. */
  note: string;
  /** Rows that the specification draws. */
  values: readonly Readonly<Record<string, unknown>>[];
  spec: ChartSpec;
}

/** The parts of vega and vega-lite used here; their own types need not be installed. */
interface Vega {
  parse(spec: unknown): unknown;
  View: new (runtime: unknown, options: { renderer: 'none'; logger: unknown }) => { toSVG(): Promise<string>; finalize(): void };
  logger(level: number): unknown;
  Error: number;
}
interface VegaLite {
  compile(spec: unknown, options: { logger: unknown }): { spec: unknown };
}

/** Colours are variables of the page, so that a chart is light or dark with it. */
const config = {
  background: null,
  aria: false, // a picture with one label, below, and not one of every mark
  font: 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif',
  view: { stroke: null },
  axis: { labelColor: 'var(--fg)', titleColor: 'var(--soft)', gridColor: 'var(--line)', domainColor: 'var(--line)', tickColor: 'var(--line)', titleFontWeight: 'normal', labelFontSize: 12, titleFontSize: 12 },
  legend: { labelColor: 'var(--fg)', titleColor: 'var(--soft)', titleFontWeight: 'normal', labelFontSize: 12, orient: 'top', title: null },
  text: { fill: 'var(--fg)' },
  range: { category: Array.from({ length: 8 }, (_, i) => `var(${colour(i)})`) },
} as const;

/**
 * Draws charts with Vega-Lite, here and not in the reader's browser: figures of inline SVG without script. The specification and
 * its data stand beside each, to be opened in the Vega editor, Jupyter or Altair, unless `specifications` is false: they are as large
 * as the pictures. The same charts give the same bytes.
 *
 * @throws TinypropError `ERR_TINYPROP_PEER` if vega or vega-lite is not installed
 */
export async function renderCharts(charts: readonly Chart[], { specifications = true }: { specifications?: boolean } = {}): Promise<string[]> {
  const [vega, lite] = await load();
  const quiet = vega.logger(vega.Error);
  const figures: string[] = [];
  for (const { caption, label, note, values, spec } of charts) {
    const whole = { $schema: 'https://vega.github.io/schema/vega-lite/v6.json', width: 340, height: 220, ...spec, description: label, data: { values } };
    const view = new vega.View(vega.parse(lite.compile({ ...whole, config }, { logger: quiet }).spec), { renderer: 'none', logger: quiet });
    const svg = await view.toSVG();
    view.finalize();
    const details = specifications ? `\n<details><summary>Specification</summary><pre>${escape(JSON.stringify(whole))}</pre></details>` : '';
    figures.push(`<figure><figcaption>${escape(caption)}</figcaption>
${scaled(svg, label)}
<p>${escape(note)}</p>${details}</figure>`);
  }
  return figures;
}

/** The picture as wide as its figure; the names of fields and classes in it were escaped by Vega. */
function scaled(picture: string, label: string): string {
  // Vega numbers frames by what it has drawn before: here by their place, under a name that no other picture of the page has.
  const names = [...new Set([...picture.matchAll(/url\(#(clip\d+)\)/g)].map(([, name]) => name))];
  const own = createHash('sha256').update(picture.replace(/\bclip\d+\b/g, '')).update(label).digest('hex').slice(0, 12);
  const svg = picture.replace(/( id="|url\(#)(clip\d+)/g, (_, before: string, name: string) => `${before}c${own}-${names.indexOf(name)}`);
  return svg.replace(/^<svg ([^>]*)>/, (_, attributes: string) => {
    const kept = attributes.replace(/ ?(width|height|class)="[^"]*"/g, '').replace(/ ?xmlns(:\w+)?="[^"]*"/g, '');
    return `<svg ${kept.trim()} role="img" aria-label="${escape(label)}">`;
  });
}

/** Fails now if charts could not be drawn later. @throws TinypropError `ERR_TINYPROP_PEER` */
export async function checkCharts(): Promise<void> {
  await load();
}

async function load(): Promise<[Vega, VegaLite]> {
  // Variables, so that compiling against this package does not need their types.
  const names: string[] = ['vega', 'vega-lite'];
  try {
    return (await Promise.all(names.map((name) => import(name)))) as [Vega, VegaLite];
  } catch (error) {
    throw new TinypropError('ERR_TINYPROP_PEER', "reports of this kind need the packages vega and vega-lite; run 'npm install vega@6 vega-lite@~6.4'", { packages: names }, error);
  }
}
