// The table of breakers: rows are patched, never replaced, and only those in sight.

import { attribute, byId, h, list, s, text } from './dom.js';
import { FAILING, IN_USE, look, ms, next, percent, rank, rate, why } from './words.js';

/** The cells of a row: class and the label that a card shows. */
const CELLS = [
  ['mode', 'mode'],
  ['num calls', 'calls/s'],
  ['num failed', 'failed'],
  ['num refused', 'refused/s'],
  ['num fallback', 'fallback/s'],
  ['num times', 'p50 · p95 · p99 ms'],
];

export class Table {
  constructor(table, model) {
    this.table = table;
    this.body = table.tBodies[0];
    this.model = model;
    this.filter = '';
    this.column = 'state';
    this.descending = false;
    this.unfolded = false;
    this.inSight = new Set();
    this.body.replaceChildren();
    this.sight = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          if (isIntersecting) this.inSight.add(target);
          else this.inSight.delete(target);
          if (isIntersecting) this.patch(target);
        }
      },
      { rootMargin: '300px' },
    );
    for (const head of table.tHead.rows[0].cells) {
      if (head.dataset.sort) head.replaceChildren(h('button', { type: 'button', onclick: () => this.sort(head) }, head.textContent));
    }
    this.foot = table.tFoot;
    this.ends = byId('ends');
    this.ends.addEventListener('click', () => {
      this.unfolded = !this.unfolded;
      attribute(this.ends, 'aria-expanded', String(this.unfolded));
      this.arrange();
    });
    this.body.addEventListener('click', (event) => {
      const row = event.target.closest('tr');
      if (row && !event.target.closest('a') && !getSelection().toString()) location.hash = href(row.dataset.breaker);
    });
  }

  sort(head) {
    const column = head.dataset.sort;
    // Names and states begin with the first, numbers with the largest.
    this.descending = column === this.column ? !this.descending : !['state', 'name'].includes(column);
    this.column = column;
    for (const other of this.table.tHead.rows[0].cells) {
      attribute(other, 'aria-sort', other === head ? (this.descending ? 'descending' : 'ascending') : null);
    }
    this.arrange();
  }

  /** Brings the rows in order and patches those in sight. */
  arrange() {
    const rows = this.model.sorted(this.column, this.descending);
    list(this.body, rows, (row) => row.name, (row) => this.make(row), (element, row) => {
      element.hidden = !this.fits(row);
      attribute(element, 'data-state', rank(row) === FAILING ? 'warn' : look(row).class);
    });
    const folded = rows.filter((row) => rank(row) === IN_USE).length;
    this.foot.hidden = folded === 0 || this.filter.trim() !== '';
    text(this.ends, `${this.unfolded ? 'Hide' : 'Show'} ${folded === 1 ? 'the endpoint' : `${folded} endpoints`} in use`);
    this.patchAll();
  }

  fits(row) {
    const wanted = this.filter.trim().toLowerCase();
    if (!wanted) return this.unfolded || rank(row) !== IN_USE;
    const words = [row.name, row.upstream, look(row).word, row.mode];
    return words.some((word) => word?.toLowerCase().includes(wanted));
  }

  patchAll() {
    for (const element of this.inSight) {
      if (element.isConnected) this.patch(element);
      else {
        this.inSight.delete(element);
        this.sight.unobserve(element);
      }
    }
  }

  make(row) {
    const link = h('a', { href: href(row.name) }, row.name);
    const parts = {
      chip: h('span', { class: 'chip' }),
      link,
      why: h('td', { role: 'cell', class: 'why' }),
      next: h('td', { role: 'cell', class: 'num next' }),
      ends: h('td', { role: 'cell', class: 'ends-of', 'data-label': 'endpoints' }),
      spark: spark(),
    };
    const cells = CELLS.map(([name, label]) => (parts[name.split(' ').at(-1)] = h('td', { role: 'cell', class: name, 'data-label': label })));
    const element = h(
      'tr',
      { role: 'row', 'data-breaker': row.name },
      h('td', { role: 'cell', class: 'state' }, parts.chip),
      h('th', { role: 'rowheader', scope: 'row', class: 'name' }, link),
      cells,
      h('td', { role: 'cell', class: 'minute' }, parts.spark.picture),
      parts.why,
      parts.next,
      parts.ends,
    );
    element.parts = parts;
    // What is out of sight is patched no more, but a row is whole from its first frame, before it is known to be in sight.
    this.patch(element);
    this.sight.observe(element);
    return element;
  }

  patch(element) {
    const row = this.model.rows.get(element.dataset.breaker);
    if (!row) return;
    const { parts } = element;
    const state = look(row);
    text(parts.chip, state.word);
    attribute(parts.chip, 'class', `chip ${state.class}`);
    const opened = row.name === this.model.opened;
    element.classList.toggle('sel', opened);
    attribute(element, 'aria-current', opened ? 'true' : null);
    const rates = row.rates ?? {};
    text(parts.mode, row.mode ?? '');
    text(parts.calls, rate(rates.calls_per_s));
    text(parts.failed, percent(rates.failed_ratio));
    parts.failed.classList.toggle('bad', rates.failed_ratio >= 0.5);
    parts.failed.classList.toggle('warnc', rates.failed_ratio > 0 && rates.failed_ratio < 0.5);
    text(parts.refused, rate(rates.refused_per_s));
    parts.refused.classList.toggle('bad', rates.refused_per_s > 0);
    text(parts.fallback, rate(rates.fallback_per_s));
    text(parts.times, `${ms(rates.p50_ms)} · ${ms(rates.p95_ms)} · ${ms(rates.p99_ms)}`);
    drawSpark(parts.spark, row.minute);
    text(parts.why, why(row, this.model.now()));
    attribute(parts.why, 'title', parts.why.textContent || null);
    this.count(parts.next, row);
    const { endpoints } = row;
    text(parts.ends, endpoints ? `${endpoints.in_use} of ${endpoints.of}` : '–');
    parts.ends.classList.toggle('warnc', Boolean(endpoints) && endpoints.in_use < endpoints.of);
  }

  /** Counts down where a breaker tries again. */
  tick() {
    for (const element of this.inSight) {
      const row = this.model.rows.get(element.dataset.breaker);
      if (row) this.count(element.parts.next, row);
    }
  }

  count(cell, row) {
    text(cell, next(row, this.model.now()));
    cell.classList.toggle('big', row.state === 'open' && !row.hold);
  }

  /** The links of the rows that are shown, in order. */
  links() {
    return [...this.body.rows].filter((row) => !row.hidden).map((row) => row.parts.link);
  }
}

/** The address of a breaker's detail. */
export const href = (name) => `#/b/${encodeURIComponent(name)}`;

function spark() {
  const paths = ['refused', 'fail', 'ok'].map((name) => s('path', { class: name }));
  const picture = s('svg', { class: 'spark', viewBox: '0 0 60 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': 'no calls in the last minute' }, ...paths);
  return { picture, paths };
}

function drawSpark({ picture, paths }, minute) {
  if (!minute) return;
  const sums = [0, 0, 0];
  let most = 1;
  for (const second of minute) {
    most = Math.max(most, second[0] + second[1] + second[2]);
    second.forEach((count, index) => (sums[index] += count));
  }
  const [ok, failed, refused] = sums;
  attribute(picture, 'aria-label', `last minute: ${ok} succeeded, ${failed} failed, ${refused} refused`);
  // From behind: all calls, those that went out, those that succeeded.
  attribute(paths[0], 'd', refused ? steps(minute, most, (second) => second[0] + second[1] + second[2]) : null);
  attribute(paths[1], 'd', failed ? steps(minute, most, (second) => second[0] + second[1]) : null);
  attribute(paths[2], 'd', ok ? steps(minute, most, (second) => second[0]) : null);
}

function steps(minute, most, height) {
  let path = 'M0 24';
  let level = 24;
  minute.forEach((second, at) => {
    const count = height(second);
    const y = count ? 24 - Math.max(1.5, Math.round((count / most) * 220) / 10) : 24;
    if (y !== level) path += `H${at}V${(level = y)}`;
  });
  return `${path}H60V24Z`;
}
