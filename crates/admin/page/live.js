// The way to the gateway: requests with the token, and the stream of events, resumed where it was cut.

const KEY = 'fusebox-token';
const QUIET_MAX = 6000;

/** An answer that is no success, with what the gateway says of it. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

function headers(more = {}) {
  const bearer = token.get();
  return bearer ? { ...more, authorization: `Bearer ${bearer}` } : more;
}

async function send(path, init) {
  const answer = await fetch(path, { cache: 'no-store', credentials: 'omit', redirect: 'error', ...init });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => null);
  throw new Refused(answer.status, problem?.detail ?? `the gateway answers ${answer.status}`);
}

/** `GET` of the API. */
export async function get(path) {
  return (await send(path, { headers: headers(), signal: AbortSignal.timeout(10000) })).json();
}

/** An operator's command. */
export async function command(name, action, body) {
  const path = `/api/v1/breakers/${encodeURIComponent(name)}/${action}`;
  const init = { method: 'POST', headers: headers({ 'content-type': 'application/json' }), body: JSON.stringify(body) };
  return (await send(path, init)).json();
}

/** The text of an event stream as events: `{ id, type, data }`. */
export function parser(emit) {
  let rest = '';
  let event = { id: null, type: '', data: [] };
  return (chunk) => {
    const lines = (rest + chunk).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === '') {
        if (event.data.length) emit({ ...event, data: event.data.join('\n') });
        event = { id: null, type: '', data: [] };
        continue;
      }
      const colon = line.indexOf(':');
      if (colon === 0) continue;
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'data') event.data.push(value);
      else if (field === 'id') event.id = value;
      else if (field === 'event') event.type = value;
    }
  };
}

/** The stream of events. It is read until it is stopped, and joined again after each cut, later and later. */
export class Stream {
  /** `on`: `event(event)`, `joined(again)`, `lost(error)`. */
  constructor(on) {
    this.on = on;
    this.last = null;
    this.heard = performance.now();
    this.running = null;
  }

  /** Reads on after the event `last`. */
  start(last) {
    this.last = last;
    if (this.running) return;
    this.running = new AbortController();
    this.run(this.running);
  }

  stop() {
    this.running?.abort();
    this.running = null;
  }

  async run(running) {
    let failures = 0;
    let again = false;
    while (!running.signal.aborted) {
      try {
        await this.read(running.signal, () => {
          failures = 0;
          this.on.joined(again);
          again = true;
        });
        this.on.lost(null);
      } catch (error) {
        if (running.signal.aborted) return;
        this.on.lost(error);
        if (error.status === 401 || error.status === 403) return this.stop();
      }
      const wait = Math.min(10000, 200 * 2 ** failures++);
      await new Promise((resolve) => setTimeout(resolve, wait * (0.75 + Math.random() / 2)));
    }
  }

  async read(outer, joined) {
    const own = new AbortController();
    const stop = () => own.abort();
    outer.addEventListener('abort', stop);
    let heard = performance.now();
    // A connection that is dead and does not know it: the pulse has stopped.
    const watch = setInterval(() => performance.now() - heard > QUIET_MAX && own.abort(), 1000);
    try {
      const more = this.last ? { 'last-event-id': this.last } : {};
      const answer = await send('/api/v1/events?pulse=1s', { headers: headers({ accept: 'text/event-stream', ...more }), signal: own.signal });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      joined();
      const take = parser((raw) => {
        if (raw.id) this.last = raw.id;
        this.on.event({ type: raw.type, ...JSON.parse(raw.data), id: raw.id });
      });
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        this.heard = heard = performance.now();
        take(value);
      }
    } finally {
      clearInterval(watch);
      outer.removeEventListener('abort', stop);
      own.abort();
    }
  }
}
