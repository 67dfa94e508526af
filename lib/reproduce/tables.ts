// SPDX-License-Identifier: Apache-2.0
import { mean } from '../report/format';
import { reference } from './methods';
import type { MethodSummary, SetSummary, Summary } from './summary';
import { average, type Difference, difference, isRival, methodsOf, promised, type Rivalry, unbeaten, type Verdict, verdicts } from './verdict';

/** Content of a cell; of two texts the second is an aside: the paper's number, say. */
export type Cell = string | readonly [string, string];

/** A table of a reproduction, as Markdown and HTML show it. All numbers are percent or points of percent. */
export interface Sheet {
  title: string;
  /** What to know when reading it. */
  notes: readonly string[];
  head: readonly string[];
  /** The first cell is the row's name. */
  rows: readonly (readonly Cell[])[];
}

/** A share in percent: `0.5` gives `50.00`; no share: a dash. */
export const percent = (share: number | null | undefined, digits = 2): string => (share === null || share === undefined || !Number.isFinite(share) ? '-' : (share * 100).toFixed(digits));
/** The same with its sign. */
const signed = (share: number): string => `${Number(percent(share)) > 0 ? '+' : ''}${percent(share).replace(/^-(0\.00)$/, '$1')}`;
const plusMinus = (error: number | null): string => (error === null ? '' : ` \u00b1 ${percent(error)}`);
const leadOf = (lead: Difference | null): string => (lead === null ? 'diverged' : signed(lead.mean) + plusMinus(lead.error));
const group = (n: number): string => String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ',');

/** A row for each method, a column for each set. */
function wide({ sets }: Summary, of: (method: MethodSummary, set: SetSummary) => Cell): Pick<Sheet, 'head' | 'rows'> {
  const rows = [...methodsOf({ sets })].map(([name, title]) => [title, ...sets.map((set) => set.methods.filter((m) => m.name === name).map((m) => of(m, set))[0] ?? '')]);
  return { head: ['method', ...sets.map(({ title }) => title)], rows };
}

/** Table I. */
function accuracies(summary: Summary): Sheet {
  return {
    title: 'Accuracy on the test set (Table I)',
    notes: ['Mean over the seeds \u00b1 standard deviation; in parentheses the accuracy that the paper gives, with networks and protocols of its own.'],
    ...wide(summary, ({ accuracyMean, accuracyStd, runs, paper }) => withPaper(percent(accuracyMean) + (runs.length > 1 && accuracyMean !== null ? plusMinus(accuracyStd) : ''), percent(paper), paper)),
  };
}

const withPaper = (text: string, aside: string, paper: number | null): Cell => (paper === null ? text : [text, aside]);

/** What the comparison is about: every method less full training, beside the same difference of the paper's numbers. */
function differences(summary: Summary): Sheet {
  const { sets } = summary;
  const found = sets.map(({ methods }) => {
    const full = methods.find(({ name }) => name === reference.accuracy);
    return new Map(methods.map((m) => [m.name, { own: full ? difference(m.runs, full.runs) : null, paper: full?.paper != null && m.paper !== null ? m.paper - full.paper : null }]));
  });
  const rows = [...methodsOf(summary)].filter(([name]) => name !== reference.accuracy).map(([name, title]): Cell[] => {
    const cells = found.map((set) => set.get(name));
    const papers = cells.map((cell) => cell?.paper ?? null);
    const whole = cells.every((cell) => cell?.own);
    const ours = whole ? signed(mean(cells.map((cell) => cell?.own?.mean)) as number) : '';
    const theirs = !whole || papers.includes(null) ? null : (mean(papers as number[]) as number);
    return [title, ...cells.map((cell) => (cell ? withPaper(leadOf(cell.own), signed(cell.paper ?? 0), cell.paper) : '')), withPaper(ours, signed(theirs ?? 0), theirs)];
  });
  return {
    title: 'Difference from full training',
    notes: ['Mean of the differences between runs of the same seed \u00b1 standard error of that mean, in points; in parentheses the difference of the paper\'s accuracies. The last column is the mean over these sets.'],
    head: ['method', ...sets.map(({ title }) => title), 'mean'],
    rows,
  };
}

function efforts(summary: Summary): Sheet {
  return {
    title: 'Effort',
    notes: [
      'Backward effort; in parentheses total effort, forward passes included. Both are multiply-accumulates as a share of dense training of the same layers, mean over the seeds. '
        + 'The paper draws its efforts (Fig. 2) without giving numbers; it speaks of about 10 % backward.',
      'Many errors are exactly zero behind a ReLU, and no method works on those: set by set, "worked on" is the backward effort of the other rows, of full training too.',
      'Rivals were given TinyPropv2\'s backward effort. Those marked with * could not be brought within 5 % of it; the comparison below shows them apart.',
    ],
    ...wide(summary, (method) => [percent(method.effortBackward, 1) + (isRival(method) && !method.matched?.within ? ' *' : ''), percent(method.effortTotal, 1)]),
  };
}

function promise(title: string, notes: readonly string[], found: readonly Verdict[]): Sheet {
  const all = average(found);
  const full = found.map(({ set, own, against, paper, missed }) => [
    set.title,
    String(against.seeds),
    withPaper(leadOf(against), paper === null ? '' : signed(paper), paper),
    percent(own.effortBackward, 1),
    missed.join(', ') || 'nothing',
  ]);
  const missed = all.mean < -promised.average ? `accuracy by ${percent(-all.mean - promised.average)}` : 'nothing';
  return {
    title,
    notes,
    head: ['set', 'pairs of seeds', 'against full training', 'backward effort', 'missed'],
    rows: found.length < 2 ? full : [...full, [`mean of ${found.length}`, '', withPaper(signed(all.mean) + plusMinus(all.error), all.paper === null ? '' : signed(all.paper), all.paper), percent(all.effort, 1), missed]],
  };
}

const promises = [
  `Promised on every set: at most ${percent(promised.points, 1)} point below full training with at most ${percent(promised.effort, 0)} % of the backward effort, with seeds until the standard error of the difference is at most `
    + `${percent(promised.error, 1)}; at most ${percent(promised.average, 1)} points on average. In parentheses the paper's difference.`,
];

const promisesTuned = [
  'The paper tunes its parameters for each data set. Here one factor does, which lowers the threshold `tau` of the preset and raises its least share of rows `sMin`, until the mean backward effort of the training runs is 9.5 %: accuracy has no part '
    + 'in that. Sets on which the preset has more effort already keep it.',
];

const named = ({ rival, lead }: Rivalry): string => `${rival.title} ${leadOf(lead)}`;

function rivals(found: readonly Verdict[]): Sheet {
  const { plainly, certainly } = unbeaten(found);
  const compared = found.filter((verdict) => verdict.rivals.length > 0);
  return {
    title: 'TinyPropv2 against rivals at its backward effort',
    notes: [
      'TinyPropv2 less the rival: mean of the differences of the seeds that both have \u00b1 its standard error, in points. A rival counts as behind or ahead only where the difference is beyond what seeds alone make of two '
        + 'equal methods 19 times in 20 (Student\'s t); else the two tie. Of so many comparisons, one in twenty of the true ties is named wrongly. Rivals that could not be brought within 5 % of the effort stand apart with theirs.',
      'EIF and random skip decide before the forward pass and save that too: at equal backward effort their total effort is lower than TinyPropv2\'s, which has seen every sample (revisit lessens that).',
      `On ${certainly} of ${compared.length} sets no rival is ahead beyond noise; on ${plainly} none has the higher mean.`,
    ],
    head: ['set', 'rivals behind', 'tied, within noise', 'rivals ahead', 'at another effort'],
    rows: compared.map((verdict) => {
      const where = (test: (lead: Difference | null) => boolean): string => verdict.rivals.filter(({ lead }) => test(lead)).map(named).join('; ') || 'none';
      return [
        verdict.set.title,
        where((lead) => lead === null || (lead.certain && lead.mean > 0)),
        where((lead) => lead !== null && !lead.certain),
        where((lead) => lead !== null && lead.certain && lead.mean < 0),
        verdict.unmatched.map((found) => `${named(found)} with ${percent(found.rival.effortBackward, 1)}`).join('; ') || 'none',
      ];
    }),
  };
}

function randomSkip(found: readonly Verdict[]): Sheet {
  const verdictOf = (lead: Difference | null): string => (lead === null || (lead.certain && lead.mean > 0) ? 'better' : lead.certain ? 'worse' : 'tie');
  return {
    title: 'TinyPropv2 against random skip at its rate',
    notes: ['Random skip trains as many samples, chosen by lot and each with all rows, hence with more effort. TinyPropv2 less random skip, as above.'],
    head: ['set', 'samples trained', 'TinyPropv2 less random skip', 'backward effort of TinyPropv2', 'of random skip', 'TinyPropv2 is'],
    rows: found.flatMap(({ set, own, atRate }) => (atRate ? [[set.title, percent(atRate.rival.trainedFraction, 1), leadOf(atRate.lead), percent(own.effortBackward, 1), percent(atRate.rival.effortBackward, 1), verdictOf(atRate.lead)]] : [])),
  };
}

function dataSheet({ sets }: Summary): Sheet {
  const part = (here: number, all: number | undefined): string => (all === undefined || all === here ? group(here) : `${group(here)} of ${group(all)}`);
  return {
    title: 'Data',
    notes: ['Where the data at hand or the budget are a part of the published set, the whole is named.'],
    head: ['set', 'network', 'training samples', 'test samples', 'classes', 'remarks'],
    rows: sets.map(({ title, model, data, complete, remark }) => [title, model, part(data.train, complete?.train), part(data.test, complete?.test), data.classes === null ? '-' : part(data.classes, complete?.classes), remark]),
  };
}

/** The tables over all sets, in the order of reading; none without a row. */
export function overview(summary: Summary): Sheet[] {
  const [found, tuned] = [verdicts(summary.sets), verdicts(summary.sets, reference.tuned)];
  const judged = found.length === 0 ? [] : [
    promise('TinyPropv2 against full training', promises, found),
    promise('TinyPropv2 with the effort that it may have', promisesTuned, tuned),
    rivals(found),
    randomSkip(found),
  ];
  return [accuracies(summary), differences(summary), efforts(summary), ...judged, dataSheet(summary)].filter(({ rows }) => rows.length > 0);
}

/** Every method on one set. */
export function detail({ title, methods }: SetSummary): Sheet {
  const [own, full] = [reference.effort, reference.accuracy].map((name) => methods.find((method) => method.name === name));
  const lead = (a: MethodSummary | undefined, b: MethodSummary | undefined): string => (a && b && a !== b ? leadOf(difference(a.runs, b.runs)) : '');
  return {
    title: `${title}: every method`,
    notes: [],
    head: ['method', 'seeds', 'accuracy', 'spread', 'against full', 'TinyPropv2 less this', 'backward effort', 'worked on', 'total effort', 'samples trained'],
    rows: methods.map((m) => {
      const lost = m.runs.filter((run) => run.accuracy === null).length;
      return [
        m.title,
        String(m.runs.length) + (lost > 0 ? `, ${lost} diverged` : ''),
        percent(m.accuracyMean),
        m.runs.length > 1 ? percent(m.accuracyStd) : '-',
        lead(m, full),
        lead(own, m),
        percent(m.effortBackward, 1),
        percent(m.rowsWorked, 1),
        percent(m.effortTotal, 1),
        percent(m.trainedFraction, 1),
      ];
    }),
  };
}
