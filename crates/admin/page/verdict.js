// The verdict: how many breakers are open, and for each that is not closed what clients get and until when.

import { rung } from './detail.js';
import { attribute, h, renew, rich, text } from './dom.js';
import { href } from './table.js';
import { held, next, percent, rate, refuses, stop } from './words.js';

const ANNOUNCED_EVERY = 5000;
/** The most breakers that are told of one by one. */
const TOLD_MAX = 4;

export class Verdict {
  constructor(place, model) {
    Object.assign(this, { place, model, announced: '', announcedAt: -Infinity });
    this.head = h('h1');
    this.says = h('p', { 'aria-live': 'off' });
    place.replaceChildren();
  }

  clear() {
    this.place.replaceChildren();
  }

  show() {
    const { place, model } = this;
    if (!model.gateway) return;
    if (!this.head.isConnected) place.replaceChildren(this.head, this.says);
    const sum = model.summary();
    const open = sum.refusing.length;
    const [count, rest] = said(sum);
    // Read out at most every five seconds; the eyes get it at once.
    const news = count + rest;
    const quiet = news !== this.announced && performance.now() - this.announcedAt < ANNOUNCED_EVERY;
    if (quiet) attribute(place, 'aria-live', 'off');
    else if (news !== this.announced) {
      this.announced = news;
      this.announcedAt = performance.now();
      attribute(place, 'aria-live', 'polite');
      this.head.madeOf = null;
    }
    renew(this.head, news, () => (count ? [h('b', { class: open ? 'n-open' : 'n-half' }, count), rest] : [rest]));
    this.sentences(sum);
    const title = open ? `${open} open · Fusebox` : 'All closed · Fusebox';
    if (document.title !== title) {
      document.title = title;
      icon(open ? '%23b3261e' : '%231f7a45');
    }
  }

  /** What each breaker that is not closed means for clients, and until when. */
  sentences(sum) {
    const told = [...sum.refusing, ...sum.half, ...sum.heldClosed, ...sum.ramp, ...sum.ejected];
    if (told.length === 0) {
      this.told = null;
      return text(this.says, calm(sum, this.model.rows));
    }
    const shown = told.slice(0, TOLD_MAX);
    const key = JSON.stringify([shown.map((row) => row.name), told.length]);
    if (this.told !== key) {
      this.told = key;
      this.parts = shown.map((row) => ({ name: row.name, says: h('span') }));
      const lines = this.parts.map(({ name, says }) => h('span', { class: 'line' }, h('a', { href: href(name) }, name), ' ', says));
      if (told.length > shown.length) lines.push(h('span', { class: 'line' }, `and ${told.length - shown.length} more`));
      this.says.replaceChildren(...lines);
    }
    for (const { name, says } of this.parts) rich(says, this.sentence(this.model.rows.get(name)));
  }

  /** What a row means for clients: every second part is bold. */
  sentence(row) {
    if (!row) return [''];
    const { refused_per_s: refused, fallback_per_s: fallback } = row.rates ?? {};
    const gets = refused > 0 && fallback > 0 ? ` ${served(fallback / refused)} ${rung(this.model.upstreams.get(row.upstream))}.` : '';
    const rest = `${gets && ';'}${gets || '.'}`;
    if (row.hold) {
      const { by, until, why } = held(row.hold);
      const told = [`is held ${row.hold.kind} by `, by, `${until}: ${why}${stop(why)}`];
      if (row.hold.kind === 'open' && refused > 0) told.push('', ' It refuses ', `${rate(refused)} calls/s`, rest);
      return told;
    }
    if (refuses(row)) {
      const when = next(row, this.model.now());
      if (row.kind === 'endpoint') return [`of ${row.upstream} gets no calls`, '', / s$/.test(when) ? ' and is tried again in ' : '', / s$/.test(when) ? when : '', '.'];
      const does = row.mode === 'monitor' ? ['would refuse its calls', ''] : refused > 0 ? ['refuses ', `${rate(refused)} calls/s`] : ['refuses calls', ''];
      const then = when === 'next call' ? ['tries again with the next call', ''] : when === '–' || row.kind === 'flow' ? ['waits', ''] : ['tries again in ', when];
      return [does[0], does[1], ` and ${then[0]}`, then[1], rest];
    }
    if (row.state === 'half_open') return refused > 0 ? ['lets single calls try and refuses ', `${rate(refused)} calls/s`, rest] : [`lets single calls try${rest}`];
    return ['comes back: ', percent(row.ramp?.share), ` of the calls pass${rest}`];
  }
}

/** The first line: a count that is coloured, and the rest. */
function said({ total, refusing, half }) {
  const are = (count) => (count === 1 ? 'is' : 'are');
  if (total === 0) return ['', 'No breakers yet'];
  if (refusing.length) return [`${refusing.length} of ${total}`, ` breakers ${are(refusing.length)} open`];
  if (half.length) return [`${half.length} of ${total}`, ` breakers ${are(half.length)} half-open`];
  return ['', total === 1 ? 'The breaker is closed' : `All ${total} breakers are closed`];
}

/** The sentence when all breakers are closed. */
function calm({ total, calls }, rows) {
  if (total === 0) return 'A breaker appears here when the configuration has one, or with the first call of its key.';
  const failing = [...rows.values()].filter((row) => row.rates?.failed_ratio > 0);
  const [worst] = failing.sort((one, other) => other.rates.failed_ratio - one.rates.failed_ratio);
  if (!calls) return 'No calls.';
  return `${rate(calls)} calls/s; ${worst ? `most failures at ${worst.name}, ${percent(worst.rates.failed_ratio)}` : 'none fails'}.`;
}

/** A share of clients in words. */
function served(share) {
  const tenths = Math.round(Math.min(1, share) * 10);
  return tenths === 10 ? 'its clients get' : `${tenths || 'fewer than 1'} of 10 clients get`;
}

function icon(colour) {
  const link = document.querySelector('link[rel=icon]');
  link.href = `data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="${colour}"/></svg>`;
}
