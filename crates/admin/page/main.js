// The dashboard: joins the snapshot and the stream, and shows them. Looking changes nothing at the gateway.

import { Actions } from './actions.js';
import { Detail, rung } from './detail.js';
import { attribute, byId, h, renew, rich, text } from './dom.js';
import { Events, Fleet, showFacts } from './happened.js';
import { Refused, Stream, get, token } from './live.js';
import { Model } from './model.js';
import { Table, href } from './table.js';
import { held, next, percent, rate, refuses, span, stop } from './words.js';

const HIDDEN_MAX = 300000;
const ANNOUNCED_EVERY = 5000;
const THEMES = ['system', 'light', 'dark'];

const model = new Model();
const actions = new Actions(model, (name) => {
  rejoinSoon();
  if (name === detail.name) detail.refresh();
});
const table = new Table(byId('breakers'), model);
const detail = new Detail(byId('detail'), model, actions);
const events = new Events(byId('events'), model);
const fleet = new Fleet(byId('fleet'), model);

const stream = new Stream({
  joined(again) {
    live = true;
    lamp();
    // What the pulses said meanwhile is lost; the events are not.
    if (again) rejoin();
  },
  lost(error) {
    live = false;
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) askToken(error);
    lamp();
  },
  event(event) {
    if (event.type === 'pulse') model.pulse(event);
    else {
      if (model.event(event)) rejoinSoon();
      if (event.breaker === detail.name || event.upstream === model.rows.get(detail.name)?.upstream) detail.refresh();
      events.show();
    }
    show();
  },
});

let live = false;
let joinedAt = 0;
let joining = null;
let failed = false;
let soon = null;

/** Takes a snapshot, and the stream from it on. */
async function join() {
  try {
    const state = await get('/api/v1/state');
    model.snapshot(state);
    joinedAt = performance.now();
    failed = false;
    byId('token').hidden = true;
    stream.start(stream.last ?? state.event_id);
    show();
    events.show();
    fleet.refresh().catch(() => {});
    route();
  } catch (error) {
    if (error.status === 401 || error.status === 403 || error.status === 429) askToken(error);
    else {
      failed = true;
      lamp();
      soon ??= setTimeout(rejoin, 2000);
    }
  }
}

function rejoin() {
  clearTimeout(soon);
  soon = null;
  joining ??= join().finally(() => (joining = null));
}

/** A snapshot after events: soon, but not for each of many. */
function rejoinSoon() {
  const least = model.rows.size > 200 ? 3000 : 700;
  soon ??= setTimeout(rejoin, Math.max(120, joinedAt + least - performance.now()));
}

function askToken(error) {
  stream.stop();
  live = false;
  const form = byId('token');
  const tried = token.get() !== null;
  text(byId('refused'), error.status === 429 ? error.message : tried ? 'The gateway does not take this token.' : '');
  token.forget();
  form.hidden = false;
  byId('verdict').replaceChildren();
  lamp();
  form.elements.token.focus();
}

byId('token').addEventListener('submit', (event) => {
  event.preventDefault();
  const field = event.target.elements.token;
  token.set(field.value.trim());
  field.value = '';
  text(byId('refused'), '');
  rejoin();
});

let drawing = false;

/** Shows the model, once a frame at most. */
function show() {
  if (drawing) return;
  drawing = true;
  const draw = () => {
    drawing = false;
    table.arrange();
    detail.show();
    verdict();
    narrowed();
    showFacts(model.gateway, model.now(), span);
    actions.tick();
  };
  // A hidden page draws no frames, but its title stays true.
  if (document.hidden) setTimeout(draw, 0);
  else requestAnimationFrame(draw);
}

function tick() {
  table.tick();
  detail.tick();
  verdict();
  lamp();
}

// --- The verdict ---

let announced = '';
let announcedAt = -Infinity;

function verdict() {
  if (!model.gateway || !byId('token').hidden) return;
  const sum = model.summary();
  const open = sum.refusing.length;
  const verb = open === 1 ? 'is' : 'are';
  const line = sum.total === 0 ? 'No breakers yet' : open ? `${open} of ${sum.total}` : sum.half.length ? `${sum.half.length} of ${sum.total}` : '';
  const rest = sum.total === 0 ? '' : open ? ` breakers ${verb} open` : sum.half.length ? ` breakers ${sum.half.length === 1 ? 'is' : 'are'} half-open` : sum.total === 1 ? 'The breaker is closed' : `All ${sum.total} breakers are closed`;
  const place = byId('verdict');
  if (!place.head) {
    place.head = h('h1');
    place.says = h('p', { 'aria-live': 'off' });
    place.replaceChildren(place.head, place.says);
  }
  // Read out at most every five seconds; the eyes get it at once.
  const news = line + rest;
  const quiet = news !== announced && performance.now() - announcedAt < ANNOUNCED_EVERY;
  if (news !== announced && !quiet) {
    announced = news;
    announcedAt = performance.now();
    attribute(place, 'aria-live', 'polite');
    place.head.madeOf = null;
  } else if (quiet) attribute(place, 'aria-live', 'off');
  renew(place.head, news, () => (line ? [h('b', { class: open ? 'n-open' : sum.total ? 'n-half' : '' }, line), rest] : [rest]));
  sentences(place.says, sum);
  const title = open ? `${open} open · Fusebox` : model.gateway ? 'All closed · Fusebox' : 'Fusebox';
  if (document.title !== title) {
    document.title = title;
    icon(open ? '%23b3261e' : '%231f7a45');
  }
}

/** What each breaker that is not closed means for clients, and until when. */
function sentences(place, sum) {
  const told = [...sum.refusing, ...sum.half, ...sum.heldClosed, ...sum.ramp, ...sum.ejected];
  const shown = told.slice(0, 4);
  const key = shown.map((row) => `${row.name} ${row.state} ${JSON.stringify(row.hold)} ${Boolean(row.ramp)}`).join('|') + told.length;
  if (place.told !== key) {
    place.told = key;
    place.parts = shown.map((row) => ({ name: row.name, says: h('span') }));
    const lines = place.parts.map(({ name, says }) => h('span', { class: 'line' }, h('a', { href: href(name) }, name), ' ', says));
    if (told.length > shown.length) lines.push(h('span', { class: 'line' }, `and ${told.length - shown.length} more`));
    place.replaceChildren(...lines);
  }
  for (const { name, says } of place.parts) rich(says, sentence(model.rows.get(name)));
  if (told.length === 0) {
    const failed = [...model.rows.values()].filter((row) => row.rates?.failed_ratio > 0);
    const worst = failed.sort((one, other) => other.rates.failed_ratio - one.rates.failed_ratio)[0];
    const noise = worst ? `; most failures at ${worst.name}, ${percent(worst.rates.failed_ratio)}` : '; none fails';
    text(place, sum.total === 0 ? 'A breaker appears here when the configuration has one, or with the first call of its key.' : `${rate(sum.calls)} calls/s${sum.calls > 0 ? noise : ''}.`);
    place.told = null;
  }
}

/** What a row means for clients: every second part is bold. */
function sentence(row) {
  if (!row) return [''];
  const { refused_per_s: refused, fallback_per_s: fallback } = row.rates ?? {};
  const gets = refused > 0 && fallback > 0 ? ` ${served(fallback / refused)} ${rung(model.upstreams.get(row.upstream))}.` : '';
  const rest = `${gets && ';'}${gets || '.'}`;
  if (row.hold) {
    const { by, until, why } = held(row.hold);
    const told = [`is held ${row.hold.kind} by `, by, `${until}: ${why}${stop(why)}`];
    if (row.hold.kind === 'open' && refused > 0) told.push('', ' It refuses ', `${rate(refused)} calls/s`, rest);
    return told;
  }
  if (refuses(row)) {
    const when = next(row, model.now());
    if (row.kind === 'endpoint') return [`of ${row.upstream} gets no calls`, '', / s$/.test(when) ? ' and is tried again in ' : '', / s$/.test(when) ? when : '', '.'];
    const does = row.mode === 'monitor' ? ['would refuse its calls', ''] : refused > 0 ? ['refuses ', `${rate(refused)} calls/s`] : ['refuses calls', ''];
    const then = when === 'next call' ? ['tries again with the next call', ''] : when === '–' || row.kind === 'flow' ? ['waits', ''] : ['tries again in ', when];
    return [does[0], does[1], ` and ${then[0]}`, then[1], rest];
  }
  if (row.state === 'half_open') return refused > 0 ? ['lets single calls try and refuses ', `${rate(refused)} calls/s`, rest] : [`lets single calls try${rest}`];
  return ['comes back: ', percent(row.ramp?.share), ` of the calls pass${rest}`];
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

// --- Lamp, filter, theme, routes, keys ---

function lamp() {
  const place = byId('lamp');
  const quiet = (performance.now() - Math.max(stream.heard, joinedAt)) / 1000;
  const is = !byId('token').hidden ? 'waits' : live && quiet <= 3 ? 'live' : model.gateway || failed ? 'stale' : 'waits';
  attribute(place, 'data-is', is);
  text(place.lastElementChild, { waits: byId('token').hidden ? 'connecting' : 'no token', live: 'live', stale: `stale ${span(quiet)}` }[is]);
}

let asked = 0;

function narrowed() {
  const place = byId('narrowed');
  const wanted = table.filter.trim();
  place.hidden = !wanted && !model.more;
  if (place.hidden) return;
  const shown = table.links().length;
  text(place, `${wanted ? `${shown} of ${model.rows.size} fit “${wanted}”` : `The first ${model.rows.size}`}${model.more ? `; ${model.more} more breakers are not in this table` : ''}.`);
}

/** With more breakers than rows, the gateway is asked for those whose name begins so. */
async function search(prefix) {
  const mine = ++asked;
  await new Promise((resolve) => setTimeout(resolve, 250));
  if (mine !== asked || !model.more || !prefix) return;
  const { breakers } = await get(`/api/v1/breakers?limit=100&prefix=${encodeURIComponent(prefix)}`);
  if (mine !== asked) return;
  for (const { name, upstream, kind, state, mode, hold, generation, since, reason, retry_at, ramp, persisted, rules } of breakers) {
    if (!model.rows.has(name)) model.rows.set(name, { name, upstream, kind, state, mode, hold, generation, since, reason, retry_at, ramp, persisted, rules, why: reason, rates: null, minute: null, endpoints: null });
  }
  show();
}

const filter = byId('filter');
filter.addEventListener('input', () => {
  table.filter = filter.value;
  events.show(filter.value);
  show();
  search(filter.value.trim()).catch(() => {});
});

function theme(chosen) {
  const name = THEMES.includes(chosen) ? chosen : 'system';
  if (name === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  const button = byId('theme');
  text(button, name[0].toUpperCase() + name.slice(1));
  attribute(button, 'aria-label', `Theme: ${name}`);
}

byId('theme').addEventListener('click', () => {
  const now = document.documentElement.dataset.theme ?? 'system';
  const chosen = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  localStorage.setItem('fusebox-theme', chosen);
  theme(chosen);
});

function route() {
  const found = location.hash.match(/^#\/b\/(.+)$/);
  let name = null;
  try {
    name = found ? decodeURIComponent(found[1]) : null;
  } catch {
    // A broken address shows all breakers.
  }
  const before = detail.name;
  if (name && !model.gateway) return;
  if (name === before) return;
  const place = byId('detail');
  // Near its table where that is short, before it where it is long.
  if (name) table.table[model.rows.size > 14 ? 'before' : 'after'](place);
  detail.open(name);
  table.patchAll();
  if (name) {
    place.scrollIntoView({ block: 'nearest' });
  } else if (before && !place.contains(document.activeElement)) {
    table.links().find((link) => link.closest('tr').dataset.breaker === before)?.focus();
  }
}

addEventListener('hashchange', route);

addEventListener('keydown', (event) => {
  const { target, key } = event;
  if (byId('dialog').open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === 'Escape') {
    if (target === filter && filter.value) {
      filter.value = '';
      filter.dispatchEvent(new Event('input'));
    } else if (target === filter) filter.blur();
    else if (detail.name) location.hash = '#/';
    return;
  }
  if (target.matches('input, select, textarea')) {
    if (target === filter && key === 'Enter') table.links()[0]?.focus();
    return;
  }
  if (key === '/') {
    event.preventDefault();
    filter.focus();
  } else if (key === 'j' || key === 'k') {
    const links = table.links();
    const at = links.indexOf(document.activeElement);
    const to = at < 0 ? (key === 'j' ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + (key === 'j' ? 1 : -1)));
    links[to]?.focus();
    links[to]?.scrollIntoView({ block: 'nearest' });
  }
});

// A page that is left or long out of sight is no listener; it resumes where it was.
let hiding = null;
document.addEventListener('visibilitychange', () => {
  clearTimeout(hiding);
  if (document.hidden) hiding = setTimeout(() => stream.stop(), HIDDEN_MAX);
  else {
    rejoin();
    show();
  }
});
addEventListener('pagehide', () => stream.stop());
addEventListener('pageshow', (event) => event.persisted && rejoin());

theme(localStorage.getItem('fusebox-theme'));
setInterval(tick, 250);
setInterval(() => {
  if (document.hidden || !byId('token').hidden || !model.gateway) return;
  // Without the stream, as where it has too many listeners, the page asks now and then.
  if (!live && performance.now() - joinedAt > 5000) return rejoinSoon();
  if (!live) return;
  if (model.due()) rejoinSoon();
  detail.refresh(false);
  fleet.refresh().catch(() => {});
  if (performance.now() - joinedAt > (model.rows.size > 200 ? 60000 : 20000)) rejoin();
}, 1000);
lamp();
rejoin();
