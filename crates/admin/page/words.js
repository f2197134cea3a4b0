// Numbers, times and states in words.

/** A rate: 0, 0.4, 3.2, 118, 1,204. */
export function rate(value) {
  if (value === null || value === undefined) return '–';
  if (value === 0) return '0';
  if (value < 0.05) return '< 0.1';
  return value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en');
}

/** A share of 1 in per cent. */
export function percent(value) {
  if (value === null || value === undefined) return '–';
  const hundredths = value * 100;
  if (hundredths === 0 || hundredths >= 99.95) return `${Math.round(hundredths)} %`;
  if (hundredths < 0.1) return '< 0.1 %';
  return `${hundredths < 10 ? +hundredths.toFixed(1) : Math.round(hundredths)} %`;
}

/** Milliseconds without their unit. */
export function ms(value) {
  if (value === null || value === undefined) return '–';
  return value < 10 ? String(+value.toFixed(1)) : Math.round(value).toLocaleString('en');
}

/** Seconds as people say them: 12 s, 3 min 4 s, 2 h 5 min, 3 d 4 h. */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [
    [Math.floor(whole / 86400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0 s';
  const shown = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => `${count} ${unit}`).join(' ');
}

/** The seconds left until `at`, right to half a second; 0 only when it has passed. */
export function left(at, now) {
  const seconds = (Date.parse(at) - now) / 1000;
  return seconds > 0 ? Math.max(1, Math.round(seconds)) : 0;
}

const pad = (number, width = 2) => String(number).padStart(width, '0');

/** A time of day here; with the date where it is another day, with milliseconds if asked. */
export function clock(at, { seconds = true, millis = false } = {}) {
  const date = new Date(at);
  const day = date.toDateString() === new Date().toDateString() ? '' : `${pad(date.getMonth() + 1)}-${pad(date.getDate())} `;
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}`;
  return day + time + (seconds ? `:${pad(date.getSeconds())}` : '') + (millis ? `.${pad(date.getMilliseconds(), 3)}` : '');
}

/** The name of a state as the row shows it, with the class that colours it. */
export function look(row) {
  if (row.mode === 'disabled') return { word: 'disabled', class: 'disabled' };
  if (row.hold) return { word: row.hold.kind === 'open' ? 'held open' : 'held closed', class: 'held' };
  if (row.state === 'open') return { word: row.ejected ? 'ejected' : 'open', class: 'open' };
  if (row.state === 'half_open') return { word: 'half-open', class: 'half' };
  if (row.ramp) return { word: `closed ${percent(row.ramp.share)}`, class: 'ramp' };
  return { word: 'closed', class: 'closed' };
}

/** True for a breaker that refuses its calls now. */
export const refuses = (row) =>
  row.mode !== 'disabled' && (row.hold ? row.hold.kind === 'open' : row.state === 'open');

/** The rank of closed breakers with failures. */
export const FAILING = 6;

/** The rank of a row in a table with the red ones first. */
export function rank(row) {
  if (row.mode === 'disabled') return 8;
  // An endpoint that is out of use is the business of its upstream's row.
  if (row.kind === 'endpoint') return row.hold || row.state !== 'closed' ? 5 : 7;
  if (row.hold) return row.hold.kind === 'open' ? 1 : 3;
  if (row.state === 'open') return 0;
  if (row.state === 'half_open') return 2;
  if (row.ramp) return 4;
  return row.rules?.some((rule) => rule.observed > 0) || row.minute?.some((second) => second[1] > 0) ? FAILING : 6.5;
}

/** When a row's breaker tries again: a countdown, a time, now, or nothing. */
export function next(row, now) {
  if (row.mode === 'disabled') return '–';
  if (row.hold) return row.hold.until ? clock(row.hold.until, { seconds: false }) : 'at release';
  if (row.state === 'half_open') return 'now';
  if (row.state !== 'open') return '–';
  if (!row.retry_at) return row.kind === 'flow' ? 'the flow decides' : '–';
  const seconds = left(row.retry_at, now);
  return seconds > 0 ? span(seconds) : 'next call';
}

/** Why a row is as it is, in a short sentence. */
export function why(row, now) {
  if (row.hold) return `${row.hold.by}: ${row.hold.reason}`;
  if (row.ramp) return `ramp: 100 % in ${span(left(row.ramp.ends, now))}`;
  if (row.state === 'half_open') return `probing: ${row.why ?? ''}`;
  return row.why ?? '';
}

/** The same in full, with what comes next; every second part is bold. */
export function explained(row, breaker, now) {
  const since = row.since ? ` since ${clock(row.since)}` : '';
  const { reason } = row;
  if (row.mode === 'disabled') return ['Disabled: it neither judges calls nor refuses them.'];
  if (row.hold) {
    const { by, until, why: words } = held(row.hold);
    return ['', by, ` holds it ${row.hold.kind}${until}: ${words}${stop(words)} ${row.hold.kind === 'open' ? 'After that single calls try the upstream.' : 'After that it judges calls again.'}`];
  }
  if (row.state === 'open') {
    const told = reason ? [`Open${since}: `, reason, stop(reason)] : [`Open${since}.`, '', ''];
    if (row.kind === 'flow') return told;
    const when = row.retry_at ? left(row.retry_at, now) : 0;
    told.push('', when ? ' It tries again in ' : ' It tries again with the next call.', when ? span(when) : '', when ? '.' : '');
    if (breaker?.attempts > 1) told.push('', ` This is trip ${breaker.attempts} in a row.`);
    return told;
  }
  if (row.state === 'half_open') {
    const probes = breaker?.probes;
    const tries = probes ? [' Single calls try the upstream: ', `${probes.successes} succeeded`, `, ${probes.failures} failed, ${probes.in_flight} of at most ${probes.limit} in flight.`] : [' Single calls try the upstream.'];
    return [`Half-open${since}.`, '', ...tries];
  }
  if (row.ramp) return [`Closed${since}: `, percent(row.ramp.share), ' of the calls pass, all in ', span(left(row.ramp.ends, now)), '.'];
  return [`Closed${since}: all calls pass.`];
}

/** The stop that a sentence still needs. */
export const stop = (words) => (/[.!?]$/.test(words) ? '' : '.');

/** The names of rules as people say them. */
export const RULES = {
  consecutive_failures: 'failures in a row',
  failure_rate: 'failure rate',
  slow_rate: 'slow rate',
  failures: 'failures',
  stalled: 'calls that hang',
  adaptive: 'adaptive: share refused',
};

/** The rungs of a ladder as a client sees them. */
export const RUNGS = {
  last_good: 'the last good answer',
  upstream: "another upstream's answer",
  respond: 'the configured answer',
};

/** Who holds a breaker, until when and why. */
export function held(hold) {
  const until = hold.until ? ` until ${clock(hold.until, { seconds: false })}` : ' without end';
  return { by: hold.by, until, why: hold.reason };
}

/** An event in words, with the class that colours its mark. */
export function happened(event) {
  const state = (name) => (name === 'half_open' ? 'half-open' : name);
  switch (event.type) {
    case 'transition':
      // A hold or a release, as a breaker remembers it.
      if (event.from === event.to) return { class: 'held', text: event.reason };
      return {
        class: { open: 'open', half_open: 'half', closed: 'closed' }[event.to],
        text: `${event.to === 'open' ? 'opened' : event.to === 'closed' ? 'closed' : 'half-open'}: ${event.reason ?? `was ${state(event.from)}`}`,
      };
    case 'hold':
      if (!event.hold) return { class: 'held', text: `released by ${event.by ?? 'an operator'}` };
      return {
        class: 'held',
        text: `${event.by} holds it ${event.hold}${event.until ? ` until ${clock(event.until, { seconds: false })}` : ' without end'}: ${event.reason}`,
      };
    case 'reset':
      return { class: 'closed', text: `reset${event.by ? ` by ${event.by}` : ''}` };
    case 'reload':
      return {
        class: event.result === 'ok' ? 'closed' : 'open',
        text: event.result === 'ok' ? `configuration reloaded${changed(event.changed)}` : `reload ${event.result}: the old configuration stays`,
      };
    case 'store':
      return { class: event.state === 'reachable' ? 'closed' : 'open', text: `store ${event.state}` };
    case 'ejection':
      return event.ejected
        ? { class: 'open', text: `endpoint ${event.endpoint} ejected${event.until ? ` until ${clock(event.until)}` : ''}` }
        : { class: 'closed', text: `endpoint ${event.endpoint} is back` };
    case 'health':
      return { class: event.health === 'healthy' ? 'closed' : 'half', text: `endpoint ${event.endpoint} is ${event.health}` };
    case 'webhook':
      return { class: event.result === 'ok' ? 'closed' : 'half', text: `webhook ${event.result}` };
    case 'gap':
      return { class: 'half', text: `${event.missed ?? 'some'} events are missing here` };
    default:
      return { class: '', text: event.type };
  }
}

function changed(names) {
  return names?.length ? `: ${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}` : '';
}
