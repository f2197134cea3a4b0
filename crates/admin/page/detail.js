// One breaker in full: why, when next, what clients get; then rules, endpoints, failures, what happened, the fleet.

import { ACTIONS, actionsFor } from './actions.js';
import { attribute, h, list, renew, rich, text } from './dom.js';
import { at, item, keyOf, nodesOf, time } from './happened.js';
import { get } from './live.js';
import { Plots } from './plots.js';
import { RULES, RUNGS, clock, explained, left, look, ms, percent, rate, span } from './words.js';

const RATIOS = ['failure_rate', 'slow_rate', 'adaptive'];

export class Detail {
  constructor(section, model, actions) {
    Object.assign(this, { section, model, actions, name: null, breaker: null, asked: 0 });
  }

  /** Shows a breaker, or none. */
  open(name) {
    if (name === this.name) return;
    this.name = name;
    this.model.open(name);
    this.breaker = null;
    this.failed = null;
    this.plots = null;
    this.section.hidden = !name;
    this.section.replaceChildren();
    if (!name) return;
    this.build();
    this.show();
    this.refresh();
  }

  build() {
    const p = (this.parts = {
      title: h('h2', { id: 'detail-title', tabindex: '-1' }, this.name),
      chip: h('span', { class: 'chip' }),
      since: h('span', { class: 'muted' }),
      acts: h('span', { class: 'acts' }),
      say: h('p', { class: 'say' }),
      clients: h('p', { class: 'say' }),
      rules: h('ul', { class: 'rules' }),
      trying: h('div'),
      ends: h('ul', { class: 'ends' }),
      plots: h('div', { class: 'plots' }),
      fails: h('tbody'),
      none: h('p', { class: 'muted' }),
      time: h('ol', { class: 'time' }),
      fleet: h('div'),
      settings: h('div'),
    });
    const part = (title, ...content) => {
      const section = h('section', {}, h('h3', {}, title), ...content);
      return section;
    };
    attribute(this.section, 'aria-labelledby', 'detail-title');
    p.endsPart = part('Endpoints', p.ends);
    p.rulesPart = part('Rules', p.rules);
    p.failsHead = h('thead', {}, h('tr', {}, ['At', 'Endpoint', 'What', 'ms', 'Request'].map((word) => h('th', { scope: 'col', class: word === 'ms' ? 'num' : null }, word))));
    this.section.replaceChildren(
      h('header', {}, p.title, p.chip, p.since, p.acts, h('a', { class: 'shut', href: '#/', 'aria-label': 'Back to all breakers' }, '×')),
      p.say,
      p.clients,
      h(
        'div',
        { class: 'cols' },
        h('div', {}, p.rulesPart, p.trying, p.endsPart),
        h('div', {}, part('Last minutes', p.plots), part('Last failures', h('table', { class: 'fails' }, h('caption', { class: 'sr' }, 'The last failures, newest first'), p.failsHead, p.fails), p.none)),
        h('div', {}, part('What happened', p.time), p.fleet, h('details', { ontoggle: (event) => event.target.open && this.settings() }, h('summary', {}, 'Settings in effect'), p.settings)),
      ),
    );
  }

  /** Asks for all that the snapshot does not have; at most every two seconds unless `now`. */
  async refresh(now = true) {
    const since = performance.now() - this.asked;
    if (!this.name || this.asking || (!now && since < 2000)) return;
    this.asked = performance.now();
    this.asking = true;
    const { name } = this;
    try {
      const few = this.model.upstreams.size <= 100 || !this.breaker;
      const [breaker, all] = await Promise.all([get(`/api/v1/breakers/${encodeURIComponent(name)}`), few ? get('/api/v1/upstreams') : null]);
      if (name !== this.name) return;
      this.breaker = breaker;
      this.failed = null;
      for (const upstream of all?.upstreams ?? []) this.model.upstreams.set(upstream.name, upstream);
      // The reading is newer than the row's.
      const row = this.model.rows.get(name);
      if (row) for (const key of ['state', 'hold', 'generation', 'since', 'reason', 'retry_at', 'ramp']) row[key] = breaker[key] ?? null;
    } catch (error) {
      if (name === this.name) this.failed = error;
    } finally {
      this.asking = false;
    }
    this.show();
    if (name !== this.name) this.refresh();
  }

  show() {
    if (!this.name) return;
    const { parts: p, breaker, model } = this;
    const row = model.rows.get(this.name) ?? breaker;
    if (!row) {
      text(p.say, this.failed ? `${this.failed.message}.` : 'Asking…');
      return;
    }
    const state = look(row);
    text(p.chip, state.word);
    attribute(p.chip, 'class', `chip ${state.class}`);
    const kept = row.persisted === false ? ' · not persisted' : '';
    text(p.since, `${row.since ? `since ${clock(row.since)} · ` : ''}${row.generation === undefined || row.generation === null ? (row.kind ?? '') : `generation ${row.generation}`}${kept}${row.mode === 'monitor' ? ' · monitor: refuses nothing' : ''}`);
    this.showActions(row);
    this.tick();
    this.showRules(breaker?.rules ?? row.rules ?? []);
    this.showTrying(breaker, row);
    this.showEnds(row);
    this.showFailures(breaker?.last_failures);
    this.showTime(row);
    this.showFleet(breaker);
    this.plots ??= new Plots(p.plots, model);
    this.plots.show();
  }

  /** What changes by the second: the countdown, and what clients get. */
  tick() {
    if (!this.name) return;
    const { parts: p, breaker, model } = this;
    const row = model.rows.get(this.name) ?? breaker;
    if (!row) return;
    const now = model.now();
    rich(p.say, this.failed ? [`${this.failed.message}.`] : explained(row, breaker, now));
    text(p.clients, clients(row, model.upstreams.get(row.upstream)));
  }

  showActions(row) {
    const may = this.model.gateway?.read_only ? [] : actionsFor(row);
    renew(this.parts.acts, `${may} ${row.kind}`, () => may.map((action) => h('button', { type: 'button', class: action, onclick: () => this.actions.ask(action, this.name) }, ACTIONS[action].word)));
  }

  showRules(rules) {
    const gaps = new Map((this.breaker?.explanation?.rules ?? []).map((gap) => [gap.rule, gap]));
    this.parts.rulesPart.hidden = rules.length === 0;
    const make = () => h('li', {}, h('span'), h('i', { class: 'gauge', 'aria-hidden': 'true' }), h('b'), h('small'));
    list(this.parts.rules, rules, ({ rule, over }) => `${rule} ${over}`, make, (element, rule) => {
      const [name, gauge, value, note] = element.children;
      const share = rule.threshold > 0 ? Math.min(1, rule.observed / rule.threshold) : 0;
      text(name, `${RULES[rule.rule] ?? rule.rule}${rule.over ? `, ${rule.over}` : ''}`);
      text(value, RATIOS.includes(rule.rule) ? (rule.threshold === null ? percent(rule.observed) : `${percent(rule.observed).replace(' %', '')} of ${percent(rule.threshold)}`) : `${rule.observed ?? 0} of ${rule.threshold}`);
      gauge.style.setProperty('--v', `${Math.round(share * 100)}%`);
      attribute(gauge, 'class', `gauge ${share >= 1 ? 'full' : share >= 0.6 ? 'near' : ''}`);
      const gap = gaps.get(rule.rule);
      const missing = { too_few_calls: `${gap?.missing_calls} more calls before it is judged`, never_trips: 'never trips', not_judged: 'not judged now' }[gap?.gap];
      text(note, missing ?? (rule.min_calls > 1 ? `${rule.calls} calls, ${rule.min_calls} needed` : ''));
    });
  }

  showTrying(breaker, row) {
    const probes = breaker?.probes;
    const ramp = row.ramp;
    renew(this.parts.trying, JSON.stringify([probes, ramp]), () => [
      ...(probes ? [h('h3', {}, 'Probes'), h('p', {}, `${probes.in_flight} of ${probes.limit} in flight, ${probes.successes} succeeded, ${probes.failures} failed.`)] : []),
      ...(ramp ? [h('h3', {}, 'Ramp'), h('p', {}, `${percent(ramp.share)} of the calls pass; all at `, time(ramp.ends), '.')] : []),
    ]);
  }

  showEnds(row) {
    const all = this.model.upstreams.get(row.upstream)?.endpoints ?? [];
    const now = this.model.now();
    this.parts.endsPart.hidden = all.length === 0;
    list(this.parts.ends, all, ({ name }) => name, () => h('li', {}, h('b'), h('span'), h('span')), (element, end) => {
      const [name, use, health] = element.children;
      const out = end.ejected_until || end.state === 'open' || (end.health === 'unhealthy');
      text(name, end.name);
      attribute(name, 'title', end.url);
      const load = end.in_flight === null || end.in_flight === undefined ? '' : `, ${end.in_flight} in flight${end.ewma_ms ? `, ${ms(end.ewma_ms)} ms` : ''}`;
      text(use, end.ejected_until ? `ejected, back in ${span(left(end.ejected_until, now))}` : end.would_eject ? `in use, would be ejected${load}` : out ? 'not in use' : `in use${load}`);
      text(health, end.health === 'unknown' ? '' : (end.health ?? ''));
      attribute(element, 'class', out || end.would_eject ? 'bad' : null);
    });
  }

  showFailures(failures) {
    text(this.parts.none, failures?.length === 0 ? 'none' : '');
    this.parts.failsHead.hidden = !failures?.length;
    const keys = (failure) => `${failure.at} ${failure.request_id} ${failure.endpoint} ${failure.status ?? failure.error}`;
    const seen = new Map();
    const keyed = (failures ?? []).map((failure) => {
      const count = (seen.get(keys(failure)) ?? 0) + 1;
      seen.set(keys(failure), count);
      return { ...failure, key: `${keys(failure)} ${count}` };
    });
    list(this.parts.fails, keyed, ({ key }) => key, (failure) =>
      h(
        'tr',
        {},
        h('td', {}, time(failure.at, { millis: true })),
        h('td', { title: failure.endpoint }, failure.endpoint ?? '–'),
        h('td', { class: 'bad' }, String(failure.status ?? failure.error)),
        h('td', { class: 'num' }, ms(failure.ms)),
        h('td', { class: 'muted', title: failure.request_id }, failure.request_id ? `${failure.request_id.slice(0, 8)}` : '–'),
      ),
    );
  }

  showTime(row) {
    const holds = this.model.events.filter((event) => event.type === 'hold' && event.breaker === row.name).map((event) => Date.parse(event.at));
    const told = (one) => one.from === one.to && holds.some((at) => Math.abs(at - Date.parse(one.at)) < 2000);
    const recent = (this.breaker?.recent ?? []).filter((one) => !told(one)).map((one) => ({ ...one, type: 'transition', id: `recent ${one.generation} ${one.to}`, breaker: row.name }));
    const known = new Set(recent.map((one) => `${one.generation} ${one.to}`));
    const others = this.model.events.filter((event) =>
      event.breaker ? event.breaker === row.name && !(event.type === 'transition' && known.has(`${event.generation} ${event.to}`)) : event.upstream ? event.upstream === row.upstream : ['reload', 'store'].includes(event.type),
    );
    const all = [...recent, ...others].sort((one, other) => (one.at < other.at ? 1 : one.at > other.at ? -1 : 0)).slice(0, 20);
    list(this.parts.time, all, keyOf, (event) => item(event, false));
  }

  showFleet(breaker) {
    const view = breaker?.fleet;
    renew(this.parts.fleet, JSON.stringify([view, breaker?.state]), () => {
      if (!view) return [];
      const { record } = view;
      const nodes = nodesOf(this.model.gateway?.fleet, [breaker]);
      const marks = nodes.map((node) => {
        const { state, word, marks: also } = at(breaker, node);
        return h('li', { class: `${state}${node.self ? ' me' : ''}`, title: [word, ...also].join(', ') }, node.name, h('span', { class: 'sr' }, ` ${word}`), also.length ? h('small', {}, ` ${also.join(', ')}`) : null);
      });
      const said = record
        ? `${record.by ? `last word by ${record.by}, ` : ''}epoch ${record.epoch} term ${record.term}${record.lease ? `; ${record.lease.node} probes` : ''}${record.counts?.length ? `; counted together ${record.counts.map((count) => `${count.observed} of ${count.threshold}`).join(', ')}` : ''}`
        : 'no record yet';
      return [h('h3', {}, 'The fleet'), h('ul', { class: 'fleet' }, marks), h('p', { class: 'muted' }, `shares ${view.share}; store ${view.store}${view.alone ? ', decides alone' : ''}; ${said}`)];
    });
  }

  /** The settings in effect, from the running plan. */
  async settings() {
    const { name } = this;
    const row = this.model.rows.get(name) ?? this.breaker;
    try {
      const plan = await get('/api/v1/plan');
      if (name !== this.name || !row) return;
      const flat = flatten(settingsOf(plan, row));
      this.parts.settings.replaceChildren(flat.length ? h('dl', { class: 'settings' }, flat.map(([key, value]) => h('div', {}, h('dt', {}, key), h('dd', {}, value)))) : h('p', { class: 'muted' }, 'The plan does not name it.'));
    } catch (error) {
      this.parts.settings.replaceChildren(h('p', { class: 'bad' }, error.message));
    }
  }
}

/** What clients get now, in a sentence with numbers. */
export function clients(row, upstream) {
  const rates = row.rates;
  if (!rates || row.mode === 'disabled') return '';
  const { refused_per_s: refused, fallback_per_s: fallback, calls_per_s: calls } = rates;
  if (!refused && !fallback) return calls ? `${rate(calls)} calls/s go to ${row.upstream}; ${percent(rates.failed_ratio)} fail.` : '';
  const from = rung(upstream);
  if (!fallback) return `${rate(refused)} calls/s are refused with an error.`;
  const rest = Math.max(0, refused - fallback);
  return `Of ${rate(refused)} refused calls/s, ${rate(Math.min(fallback, refused || fallback))} get ${from}${rest >= 0.05 ? `, ${rate(rest)} an error` : ''}.`;
}

/** The rung that gives most of an upstream's fallback answers. */
export function rung(upstream) {
  const counts = upstream?.fallback ?? {};
  const [most] = Object.keys(RUNGS).sort((one, other) => (counts[other] ?? 0) - (counts[one] ?? 0));
  return counts[most] ? RUNGS[most] : 'a fallback answer';
}

function settingsOf(plan, row) {
  const all = plan.upstreams ?? plan;
  const upstream = Array.isArray(all) ? all.find((it) => it.name === row.upstream) : all?.[row.upstream];
  if (row.kind === 'endpoint') return upstream?.ejection ?? {};
  return upstream?.breaker ?? plan.breakers?.[row.name] ?? {};
}

/** Nested settings as lines: `cooldown.base`, `5s`. */
function flatten(value, path = '') {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) {
    return value.every((one) => typeof one !== 'object') ? [[path, value.join(', ')]] : value.flatMap((one, index) => flatten(one, value.length > 1 ? `${path}[${index + 1}]` : path));
  }
  if (typeof value === 'object') return Object.entries(value).flatMap(([key, one]) => flatten(one, path ? `${path}.${key}` : key));
  return [[path, String(value)]];
}
