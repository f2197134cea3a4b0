// What happened: the last events of all breakers, and the fleet as breaker × node.

import { attribute, byId, h, list, text } from './dom.js';
import { get } from './live.js';
import { href } from './table.js';
import { clock, happened } from './words.js';

/** A time here, with the same in UTC as a hint. */
export function time(at, options) {
  return h('time', { datetime: at, title: new Date(at).toISOString() }, clock(at, options));
}

/** An event as an item of a list. */
export function item(event, named) {
  const { class: mark, text: what } = happened(event);
  const name = event.breaker ?? event.upstream;
  const who = named && name ? [event.breaker ? h('a', { href: href(name) }, name) : h('b', {}, name), ' '] : [];
  return h('li', { class: mark }, time(event.at), who, h('span', {}, what));
}

let numbered = 0;
/** A key that an event keeps; a gap has no id. */
export const keyOf = (event) => event.id ?? (event.own ??= `gap ${numbered++}`);

/** The list of the last events, newest first. It stands still under the pointer. */
export class Events {
  constructor(section, model) {
    this.model = model;
    this.section = section;
    this.paused = false;
    this.shown = null;
    this.items = h('ol', { class: 'time' });
    this.note = h('span', { class: 'muted' });
    section.append(h('h2', { id: 'events-title' }, 'Events ', this.note), this.items);
    const pause = (paused) => () => {
      this.paused = paused;
      this.show();
    };
    this.items.addEventListener('pointerenter', pause(true));
    this.items.addEventListener('pointerleave', pause(false));
  }

  /** Shows the events that fit the filter. */
  show(filter = this.filter ?? '') {
    this.filter = filter;
    const wanted = filter.trim().toLowerCase();
    const events = this.model.events.filter((event) => {
      const name = event.breaker ?? event.upstream;
      return !wanted || (name ? name.toLowerCase().includes(wanted) : false);
    });
    if (this.paused) {
      const waiting = events.filter((event) => !this.shown?.has(keyOf(event))).length;
      text(this.note, waiting ? `paused under the pointer, ${waiting} more` : 'paused under the pointer');
      return;
    }
    this.shown = new Set(events.map(keyOf));
    text(this.note, events.length ? '' : 'none yet');
    list(this.items, events.toReversed(), keyOf, (event) => item(event, true));
  }
}

const FLEET_MAX = 200;

/** The shared breakers as each node has them, from this node's view. */
export class Fleet {
  constructor(section, model) {
    this.section = section;
    this.model = model;
    this.note = h('p', { class: 'muted' });
    this.table = h('table', {}, h('caption', { class: 'sr' }, 'Shared breakers by node'), h('thead'), h('tbody'));
    section.append(h('h2', { id: 'fleet-title' }, 'The fleet'), h('div', { class: 'wide', tabindex: '0', role: 'region', 'aria-labelledby': 'fleet-title' }, this.table), this.note);
    this.asked = -Infinity;
  }

  /** Asks again if the last answer is some seconds old. */
  async refresh() {
    const fleet = this.model.gateway?.fleet;
    const since = performance.now() - this.asked;
    if (!fleet || since < (this.model.rows.size > 100 ? 30000 : 5000)) {
      if (!fleet) this.section.hidden = true;
      return;
    }
    this.asked = performance.now();
    const { breakers } = await get(`/api/v1/breakers?limit=${FLEET_MAX}`);
    const shared = breakers.filter((breaker) => breaker.fleet);
    this.section.hidden = shared.length === 0;
    const nodes = nodesOf(fleet, shared);
    const head = h('tr', {}, h('th', { scope: 'col' }, 'Breaker'), nodes.map((node) => h('th', { scope: 'col' }, node.self ? `${node.name} (this)` : node.name)));
    this.table.tHead.replaceChildren(head);
    this.table.tBodies[0].replaceChildren(
      ...shared.map((breaker) => h('tr', {}, h('th', { scope: 'row' }, h('a', { href: href(breaker.name) }, breaker.name)), nodes.map((node) => cell(breaker, node)))),
    );
    const alone = shared.filter((breaker) => breaker.fleet.alone).length;
    text(this.note, alone ? `This node decides alone for ${alone} of them: the store is ${shared[0].fleet.store}.` : "As the fleet's record has it, read by this node.");
  }
}

/** The fleet's nodes: those that are known, and those that a record names. */
export function nodesOf(fleet, breakers) {
  const nodes = new Map();
  const add = (name, self) => name && !nodes.has(name) && nodes.set(name, { name, self });
  for (const node of fleet?.nodes ?? []) add(node.name, node.self);
  for (const { fleet: view } of breakers) {
    if (!nodes.has(view?.node)) add(view?.node, true);
    for (const vote of view?.record?.votes ?? []) add(vote.node, false);
    add(view?.record?.lease?.node, false);
  }
  return [...nodes.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** A breaker at a node: its state there, as far as this node knows. */
export function at(breaker, node) {
  const { fleet: view } = breaker;
  const record = view?.record;
  const state = node.self ? breaker.state : (record?.state ?? 'closed');
  const marks = [];
  if (record?.votes?.some((vote) => vote.node === node.name)) marks.push('votes to open');
  if (record?.lease?.node === node.name) marks.push('probes');
  if (node.self && view?.alone) marks.push('alone');
  const hold = (node.self && breaker.hold) || record?.hold;
  if (hold) return { state: 'held', word: `held ${hold.kind}`, marks };
  return { state: { half_open: 'half', open: 'open' }[state] ?? 'closed', word: state === 'half_open' ? 'half-open' : state, marks };
}

function cell(breaker, node) {
  const { state, word, marks } = at(breaker, node);
  return h('td', {}, h('span', { class: `chip ${state}` }, word), marks.length ? h('small', {}, ` ${marks.join(', ')}`) : null);
}

/** The facts of the bar. */
export function facts(gateway, now, span) {
  if (!gateway) return [];
  const { store, fleet, config } = gateway;
  const nodes = fleet?.nodes?.length;
  return [
    ['node', gateway.node ?? '–'],
    ['version', gateway.version ?? '–'],
    ['up', gateway.started_at ? span((now - Date.parse(gateway.started_at)) / 1000) : '–'],
    config && ['config', `${(config.hash ?? '').replace(/^\w+:/, '').slice(0, 4) || '–'}${config.loaded_at ? ` · loaded ${clock(config.loaded_at, { seconds: false })}` : ''}`],
    ['store', store?.state ?? 'none', { reachable: 'good', away: 'bad' }[store?.state]],
    fleet && ['fleet', fleet.expected ? `${nodes} of ${fleet.expected}` : `${nodes}`, fleet.expected > nodes ? 'bad' : undefined],
    gateway.draining && ['state', 'draining', 'bad'],
    gateway.read_only && ['token', 'read-only'],
  ].filter(Boolean);
}

/** Patches the bar. */
export function showFacts(gateway, now, span) {
  list(byId('facts'), facts(gateway, now, span), ([name]) => name, ([name]) => h('div', {}, h('dt', {}, name), h('dd')), (element, [, value, mark]) => {
    text(element.lastChild, value);
    attribute(element.lastChild, 'class', mark ?? null);
  });
}
