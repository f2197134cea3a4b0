// The opened breaker's plots: calls a second, and the times of those that were answered.

import { attribute, h, s, text } from './dom.js';
import { clock, ms, rate } from './words.js';

const HEIGHT = 100;

/** One plot: lines over the history, with the last value of each in its legend. */
class Plot {
  /** `lines`: name, class, and the value of a second of the history. */
  constructor(title, lines, word) {
    this.lines = lines.map(([name, mark, value]) => {
      const last = h('b');
      return { value, last, path: s('path', { class: mark }), key: h('span', { class: mark }, `${name} `, last) };
    });
    this.word = word;
    this.top = h('span');
    this.from = h('span');
    this.picture = s('svg', { viewBox: `0 0 600 ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': title }, s('path', { class: 'grid', d: `M0 .5H600M0 ${HEIGHT / 2}H600M0 ${HEIGHT - 0.5}H600` }), ...this.lines.map(({ path }) => path));
    this.element = h('figure', {}, h('figcaption', {}, title, this.lines.map(({ key }) => key)), h('div', {}, this.top, this.picture), h('p', {}, this.from, h('span', {}, 'now')));
  }

  show(history) {
    const seconds = Math.max(60, history.length);
    const values = this.lines.map(({ value }) => history.map((one) => value(one) ?? null));
    const most = Math.max(1, ...values.flat().map((value) => value ?? 0)) * 1.05;
    const start = 600 * (1 - history.length / seconds);
    this.lines.forEach(({ path, last }, index) => {
      let d = '';
      let pen = 'M';
      values[index].forEach((value, at) => {
        if (value === null) pen = 'M';
        else {
          d += `${pen}${(start + ((at + 0.5) * 600) / seconds).toFixed(1)} ${(HEIGHT - (value / most) * HEIGHT).toFixed(1)}`;
          pen = 'L';
        }
      });
      attribute(path, 'd', d || null);
      text(last, this.word(values[index].at(-1)));
    });
    text(this.top, this.word(most / 1.05));
    text(this.from, history.length ? clock(Date.now() - seconds * 1000) : '');
  }
}

export class Plots {
  constructor(place, model) {
    this.model = model;
    const second = (index) => (one) => one.second[index];
    const percentile = (name) => (one) => one.rates?.[name];
    this.calls = new Plot('calls/s', [['succeeded', 'ok', second(0)], ['failed', 'fail', second(1)], ['refused', 'refused', second(2)]], rate);
    this.times = new Plot('ms', [['p50', 'p50', percentile('p50_ms')], ['p95', 'p95', percentile('p95_ms')], ['p99', 'p99', percentile('p99_ms')]], ms);
    place.replaceChildren(this.calls.element, this.times.element);
  }

  show() {
    const { history } = this.model;
    const last = history.at(-1)?.at;
    if (last === this.last) return;
    this.last = last;
    this.calls.show(history);
    this.times.element.hidden = !history.some((one) => one.rates?.p50_ms > 0);
    this.times.show(history);
  }
}
