// What the page knows: the last snapshot, and the events and pulses since.

import { rank, refuses } from './words.js';

const EVENTS_MAX = 200;
const NOTHING = [0, 0, 0];
/** Seconds of the opened breaker's numbers that are kept for its plots. */
const HISTORY = 600;

export class Model {
  constructor() {
    this.rows = new Map();
    this.events = [];
    this.gateway = null;
    this.upstreams = new Map();
    this.more = 0;
    this.behind = 0;
    this.asked = new Map();
    this.opened = null;
    this.history = [];
  }

  /** The gateway's time now, whatever this machine's clock says. */
  now() {
    return performance.now() + this.behind;
  }

  /** Takes a snapshot; the rows that it does not name are gone. */
  snapshot(state) {
    this.behind = Date.parse(state.now) - performance.now();
    this.gateway = state.gateway;
    this.counts = state.counts;
    this.more = state.more ?? 0;
    this.upstreams = new Map((state.upstreams ?? []).map((upstream) => [upstream.name, upstream]));
    this.rows = new Map(state.breakers.map((row) => [row.name, row]));
    this.eject();
    // Events that have come meanwhile are newer than the snapshot's.
    const known = new Set(state.events.map((event) => event.id));
    const newer = this.events.filter((event) => event.local || (!known.has(event.id) && isAfter(event.id, state.event_id)));
    this.events = [...state.events, ...newer].sort((one, other) => (one.at < other.at ? -1 : one.at > other.at ? 1 : 0)).slice(-EVENTS_MAX);
  }

  /** Marks the rows of endpoints that get no calls: some stay in use because no other is left. */
  eject() {
    for (const upstream of this.upstreams.values()) {
      if (upstream.endpoints.length < 2) continue;
      for (const end of upstream.endpoints) {
        const row = this.rows.get(`${upstream.name}@${end.name}`);
        if (row) row.ejected = Boolean(end.ejected_until);
      }
    }
  }

  /** Takes an event; true if only a new snapshot shows all that it changed. */
  event(event) {
    if (!event.id || !this.events.some((known) => known.id === event.id)) {
      this.events.push(event.id ? event : { ...event, local: true });
      if (this.events.length > EVENTS_MAX) this.events.shift();
    }
    const row = this.rows.get(event.breaker);
    switch (event.type) {
      case 'transition':
        if (!row) return true;
        row.state = event.to;
        row.reason = row.why = event.reason;
        row.retry_at = event.retry_at;
        row.generation = event.generation;
        row.since = event.at;
        if (event.to !== 'closed') row.ramp = null;
        return true;
      case 'hold':
        if (row) row.hold = event.hold ? { kind: event.hold, until: event.until, reason: event.reason, by: event.by } : null;
        return true;
      case 'store':
        if (this.gateway?.store) this.gateway.store.state = event.state;
        return false;
      default:
        return event.type !== 'webhook';
    }
  }

  /** Takes a second's numbers. Breakers that a pulse does not name had nothing in it. */
  pulse(pulse) {
    for (const row of this.rows.values()) {
      const news = pulse.breakers[row.name];
      if (news) row.rates = news.rates;
      if (row.minute) {
        row.minute.shift();
        row.minute.push(news?.second ?? NOTHING);
      }
    }
    const row = this.rows.get(this.opened);
    if (row?.rates) {
      this.history.push({ at: this.now() / 1000, second: row.minute?.at(-1) ?? NOTHING, rates: row.rates });
      if (this.history.length > HISTORY) this.history.shift();
    }
  }

  /** True once for each breaker whose time to try again has come, of which no event tells. */
  due() {
    const now = this.now();
    const due = [...this.rows.values()].filter((row) => row.state === 'open' && row.retry_at && row.retry_at !== this.asked.get(row.name) && Date.parse(row.retry_at) < now);
    for (const row of due) this.asked.set(row.name, row.retry_at);
    return due.length > 0;
  }

  /** Opens a breaker's detail: its plots begin with the minute that is known. */
  open(name) {
    if (name === this.opened) return;
    this.opened = name;
    this.history = [];
    const minute = this.rows.get(name)?.minute ?? [];
    minute.forEach((second, index) => {
      this.history.push({ at: this.now() / 1000 - (minute.length - index), second, rates: null });
    });
  }

  /** The rows in order: by `column`, or the ones that need attention first. */
  sorted(column, descending) {
    const rows = [...this.rows.values()];
    const key = {
      name: (row) => row.name,
      calls: (row) => row.rates?.calls_per_s ?? -1,
      failed: (row) => row.rates?.failed_ratio ?? -1,
      refused: (row) => row.rates?.refused_per_s ?? -1,
      fallback: (row) => row.rates?.fallback_per_s ?? -1,
      p99: (row) => row.rates?.p99_ms ?? -1,
    }[column] ?? rank;
    const keyed = rows.map((row) => [key(row), row]);
    const sign = descending ? -1 : 1;
    keyed.sort(([a, one], [b, other]) => (a < b ? -sign : a > b ? sign : one.name < other.name ? -1 : 1));
    return keyed.map(([, row]) => row);
  }

  /** The counts that the verdict tells. */
  summary() {
    const rows = [...this.rows.values()].filter((row) => row.kind !== 'endpoint');
    const on = rows.filter((row) => row.mode !== 'disabled');
    return {
      total: this.more ? (this.counts?.breakers ?? rows.length + this.more) : rows.length,
      refusing: on.filter(refuses),
      half: on.filter((row) => row.state === 'half_open' && !row.hold),
      heldClosed: on.filter((row) => row.hold?.kind === 'closed'),
      ramp: on.filter((row) => row.state === 'closed' && row.ramp && !row.hold),
      ejected: [...this.rows.values()].filter((row) => row.kind === 'endpoint' && row.ejected),
      calls: rows.reduce((sum, row) => sum + (row.rates?.calls_per_s ?? 0), 0),
    };
  }
}

/** True if an event's id is behind another one of the same start. */
function isAfter(id, other) {
  const parts = (it) => {
    const at = (it ?? '').lastIndexOf('-');
    return [it?.slice(0, at), Number(it?.slice(at + 1))];
  };
  const [boot, sequence] = parts(id);
  const [otherBoot, otherSequence] = parts(other);
  return boot === otherBoot && sequence > otherSequence;
}
