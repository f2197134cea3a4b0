// An operator's commands: a dialog that says in numbers what will happen, and a word on what did.

import { attribute, byId, h, text } from './dom.js';
import { command } from './live.js';
import { clock, percent, rate } from './words.js';

const NAME = 'fusebox-operator';

export const ACTIONS = {
  open: { word: 'Hold open', verb: 'open' },
  close: { word: 'Hold closed', verb: 'close' },
  release: { word: 'Release', verb: 'release' },
  reset: { word: 'Reset', verb: 'reset' },
};

/** The commands that make sense for a breaker now. A flow's entry cannot be held or released. */
export function actionsFor(row) {
  if (row.kind === 'flow') return ['open', 'close', 'reset'];
  return row.hold ? ['open', 'close', 'release', 'reset'] : ['open', 'close', 'reset'];
}

/** What a command will do, as a sentence with the numbers of now. */
export function foretold(action, row, length) {
  const rates = row.rates ?? {};
  const all = (rates.calls_per_s ?? 0) + (rates.refused_per_s ?? 0);
  const calls = row.rates ? `${rate(all)} calls/s` : 'all calls';
  const served = all > 0 && rates.fallback_per_s > 0 && rates.refused_per_s > 0;
  const rest = served ? ` At present ${rate(rates.fallback_per_s)} of ${rate(rates.refused_per_s)} refused calls/s get a fallback answer.` : '';
  const failing = rates.failed_ratio > 0 ? ` ${percent(rates.failed_ratio)} of the calls fail now.` : '';
  const whole = length ? `for ${length}` : 'until somebody releases it';
  switch (action) {
    case 'open':
      if (row.kind === 'flow') return `The flow's entry says open: ${calls} will be refused as the flow does it.`;
      return `${calls} to ${row.upstream} will be refused ${whole}.${rest}`;
    case 'close':
      if (row.kind === 'flow') return `The flow's entry says closed: ${calls} will go to the service.`;
      return `${calls} will go to ${row.upstream} ${whole}, whatever their outcome.${failing}${row.state === 'open' ? ' The breaker is open now: the upstream may not be well yet.' : ''}`;
    case 'release':
      return row.hold?.kind === 'open' ? `The hold of ${row.hold.by} ends. Single calls try the upstream; the rest is refused until they have succeeded.` : `The hold of ${row.hold?.by} ends. The breaker begins closed and judges ${calls} again.`;
    default:
      return `The breaker begins closed, nothing counted, no hold, no last failures: ${calls} will go to ${row.upstream}.${failing}`;
  }
}

/** A duration as the API takes it: null is without end, undefined is not readable. */
export function duration(entered) {
  const words = entered.trim().toLowerCase();
  if (words === 'without end') return null;
  const form = /^(\d+(\.\d+)?\s*(ms|s|sec|m|min|h|d)\s*)+$/;
  return form.test(words) && /[1-9]/.test(words) ? words.replace(/\s+/g, '') : undefined;
}

export class Actions {
  /** `model`; `done(name)` is called after each command that was carried out. */
  constructor(model, done) {
    this.model = model;
    this.done = done;
    this.dialog = byId('dialog');
    this.toast = byId('toast');
    this.toast.addEventListener('pointerenter', () => clearTimeout(this.gone));
  }

  /** Asks for what a command needs. */
  ask(action, name) {
    const row = this.model.rows.get(name);
    if (!row) return;
    const { word } = ACTIONS[action];
    const holds = (action === 'open' || action === 'close') && row.kind !== 'flow';
    const shared = Boolean(this.model.gateway?.fleet) && row.kind !== 'flow' && row.kind !== 'endpoint';
    const will = h('p', { class: 'will' });
    const error = h('p', { class: 'bad', role: 'alert' });
    const reason = h('input', { name: 'reason', required: action !== 'release', maxlength: 256, autocomplete: 'off' });
    const length = h('input', { name: 'for', value: '10m', list: 'lengths', autocomplete: 'off', required: true });
    const scope = h('select', { name: 'scope' }, h('option', { value: 'node' }, 'this node'), shared ? h('option', { value: 'fleet' }, 'the whole fleet') : null);
    const by = h('input', { name: 'by', value: localStorage.getItem(NAME) ?? '', maxlength: 256, autocomplete: 'username', placeholder: 'admin' });
    const go = h('button', { type: 'submit', class: `go ${action}` }, word);
    const form = h(
      'form',
      { method: 'dialog', novalidate: true },
      h('h2', { id: 'dialog-title' }, `${word}: ${name}`),
      will,
      h('label', {}, h('span', {}, 'Reason'), reason),
      holds ? h('label', {}, h('span', {}, 'For'), length) : null,
      holds ? h('datalist', { id: 'lengths' }, ['1m', '10m', '1h', '8h', 'without end'].map((value) => h('option', { value }))) : null,
      h('label', {}, h('span', {}, 'Scope'), scope),
      h('label', {}, h('span', {}, 'Your name'), by),
      error,
      h('p', { class: 'choose' }, go, h('button', { type: 'button', onclick: () => this.dialog.close() }, 'Cancel')),
    );
    this.refresh = () => {
      const now = this.model.rows.get(name) ?? row;
      const long = holds ? duration(length.value) : null;
      text(will, foretold(action, now, long ?? null) + (scope.value === 'fleet' ? ' So do all nodes of the fleet.' : ''));
    };
    form.addEventListener('input', this.refresh);
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const long = holds ? duration(length.value) : null;
      const wrong = reason.required && !reason.value.trim() ? [reason, 'Say why: others will read it.'] : long === undefined ? [length, 'Expected a duration such as 10m, or “without end”.'] : null;
      attribute(reason, 'aria-invalid', wrong?.[0] === reason ? 'true' : null);
      attribute(length, 'aria-invalid', wrong?.[0] === length ? 'true' : null);
      text(error, wrong?.[1] ?? '');
      if (wrong) return wrong[0].focus();
      const body = { scope: scope.value };
      if (reason.value.trim()) body.reason = reason.value.trim();
      if (long) body.for = long;
      if (by.value.trim()) {
        body.by = by.value.trim();
        localStorage.setItem(NAME, body.by);
      }
      go.disabled = true;
      try {
        const breaker = await command(name, action, body);
        this.dialog.close();
        this.tell(action, name, breaker, body.scope);
        this.done(name);
      } catch (problem) {
        text(error, problem.message);
      }
      go.disabled = false;
    });
    this.dialog.replaceChildren(form);
    this.refresh();
    this.dialog.onclose = () => (this.refresh = null);
    this.dialog.showModal();
    reason.focus();
  }

  /** Keeps the numbers of an open dialog true. */
  tick() {
    this.refresh?.();
  }

  tell(action, name, breaker, scope) {
    const until = breaker.hold?.until ? ` until ${clock(breaker.hold.until, { seconds: false })}` : breaker.hold ? ' without end' : '';
    const generation = breaker.generation === undefined ? '' : ` (generation ${breaker.generation})`;
    const what = { open: `${name} is held open${until}`, close: `${name} is held closed${until}`, release: `${name} is released`, reset: `${name} is reset` }[action];
    const undo = breaker.hold ? h('button', { type: 'button', onclick: () => this.undo(name, scope) }, 'Undo') : null;
    this.show(h('span', {}, `${what}${generation}.`), undo);
  }

  async undo(name, scope) {
    try {
      await command(name, 'release', { scope, reason: 'undone at the dashboard', by: localStorage.getItem(NAME) ?? undefined });
      this.show(h('span', {}, `${name} is released.`));
      this.done(name);
    } catch (problem) {
      this.show(h('span', { class: 'bad' }, problem.message));
    }
  }

  show(...parts) {
    this.toast.replaceChildren(...parts.filter(Boolean));
    this.toast.hidden = false;
    clearTimeout(this.gone);
    this.gone = setTimeout(() => (this.toast.hidden = true), 12000);
  }
}
