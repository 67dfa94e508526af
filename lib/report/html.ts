// SPDX-License-Identifier: Apache-2.0

/** Text made safe for HTML and SVG, in content and in quoted attributes. */
export function escape(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (c) => entities[c] as string);
}

/** One column of a table. */
export interface Column {
  head: string;
  /** Explanation shown on hover. */
  title?: string;
  /** Numbers are right-aligned. */
  number?: boolean;
}

/** Content of a cell; of two texts the second is muted and stands below. */
export type CellText = string | readonly [string, string];

function cellText(cell: CellText): string {
  return typeof cell === 'string' ? escape(cell) : `${escape(cell[0])}<span class="aside">(${escape(cell[1])})</span>`;
}

/** A table; cells are text and get escaped. The first cell of a row is its heading. */
export function table(caption: string, columns: readonly Column[], rows: readonly (readonly CellText[])[], marks: readonly string[] = []): string {
  const head = columns
    .map((c) => `<th scope="col"${c.number ? ' class="n"' : ''}${c.title ? ` title="${escape(c.title)}"` : ''}>${escape(c.head)}</th>`)
    .join('');
  const body = rows
    .map((row, r) => {
      const cells = row.map((cell, i) => {
        const mark = i === 0 && marks[r] ? `<span class="dot" style="background:var(${marks[r]})"></span>` : '';
        return i === 0 ? `<th scope="row">${mark}${cellText(cell)}</th>` : `<td${columns[i]?.number ? ' class="n"' : ''}>${cellText(cell)}</td>`;
      });
      return `<tr>${cells.join('')}</tr>`;
    })
    .join('\n');
  return `<div class="scroll" tabindex="0" role="region" aria-label="${escape(caption)}"><table><caption>${escape(caption)}</caption>
<thead><tr>${head}</tr></thead>
<tbody>
${body}
</tbody></table></div>`;
}

/** Colours of the methods, told apart by people with colour blindness (Okabe and Ito), lighter in the dark. */
const palette = {
  light: ['#5b6470', '#0072b2', '#b35900', '#007f5f', '#a8458c', '#7a6a00', '#3d7ea6', '#8c3b3b'],
  dark: ['#a9b3c0', '#5cb8f0', '#f0a04b', '#3fd0a5', '#e592cc', '#e6d44a', '#8fcbe8', '#e89090'],
};

/** CSS variable of the colour of the method at that place in the table. */
export function colour(index: number): string {
  return `--m${index % palette.light.length}`;
}

const variables = (colours: readonly string[]): string => colours.map((value, i) => `--m${i}:${value}`).join(';');

const style = `
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#59636e;--line:#d5dae0;--card:#f6f8fa;${variables(palette.light)}}
@media(prefers-color-scheme:dark){:root{--bg:#0f1419;--fg:#e6e9ed;--soft:#9aa5b1;--line:#2d353e;--card:#171d24;${variables(palette.dark)}}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 3rem;max-width:62rem;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 .75rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}p{max-width:44rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:.95rem}
caption{text-align:left;color:var(--soft);padding-bottom:.3rem}th,td{padding:.35rem .6rem;border-bottom:1px solid var(--line);text-align:left;white-space:nowrap;font-weight:400}
thead th{color:var(--soft);font-size:.85rem;white-space:normal;vertical-align:bottom}tbody th{font-weight:600}.aside{display:block;color:var(--soft);font-size:.85em;font-weight:400}.prose th,.prose td{white-space:normal;vertical-align:top}.prose td:not(.n){min-width:9rem}section .charts{margin-top:1rem}.charts.even{grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr))}.sheet caption{display:none}.sheet tr>:first-child{position:sticky;left:0;background:var(--bg)}.broad{max-width:76rem}.wide table{font-size:.8rem}.wide th,.wide td{padding:.35rem .35rem}.wide tbody th{white-space:normal;min-width:7.5rem}nav a{margin-right:.75rem}.n{text-align:right}th[title]{text-decoration:underline dotted;text-underline-offset:3px;cursor:help}
.dot{display:inline-block;width:.65em;height:.65em;border-radius:50%;margin-right:.5em}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,21rem),1fr));gap:1rem}.bars{margin-top:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,17rem),1fr))}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.75rem}figcaption{font-weight:600;margin-bottom:.25rem}
figure p{margin:.25rem 0 0;font-size:.85rem;color:var(--soft)}svg{display:block;width:100%;height:auto;font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
svg text{fill:var(--fg);paint-order:stroke;stroke:var(--card);stroke-width:3px;stroke-linejoin:round}svg .soft{fill:var(--soft)}svg .grid{stroke:var(--line);stroke-width:1;fill:none}
.legend{display:flex;flex-wrap:wrap;gap:.1rem .9rem;font-size:.85rem;margin:.1rem 0 .3rem;padding:0;list-style:none}
figure details{margin-top:.4rem;font-size:.85rem}pre{max-height:12rem;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;background:var(--bg);padding:.5rem;border-radius:4px}details{margin-top:1rem}summary{cursor:pointer;font-weight:600}code{background:var(--card);border:1px solid var(--line);border-radius:4px;padding:.1rem .3rem;overflow-wrap:anywhere}
footer{margin-top:2.5rem;color:var(--soft);font-size:.85rem}
@media print{details:not([open])>*{display:block}}`;

/** The page around `body`: no script, no network, colours by the reader's preference; `broad` has room for wide tables. */
export function page(title: string, body: string, { broad = false } = {}): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escape(title)}</title>
<style>${style}
</style>
</head>
<body${broad ? ' class="broad"' : ''}>
${body}
</body>
</html>
`;
}
