// What a process knows of its breakers: grants and refusals, and the outcomes that are still to be reported.
//
// While a grant lasts, a call costs no question. A call waits for an answer for a moment, then it is made as if there were no breaker.

import { Wire } from './wire.js';

// All in ms. How long a call waits for an answer, by default.
const PATIENCE = 50;
// How long nobody is asked after a question without an answer: at first, and at most.
const AWAY_FOR = 500;
const AWAY_FOR_MAX = 10_000;
// A refusal is known for this long at most, so that a breaker that closes is noticed; while another call probes, shorter.
const REFUSED_FOR = 500;
const PROBING_FOR = 100;
// Failures of grants are reported at once, but not more often than this; successes with the next question, or this late.
const BETWEEN_REPORTS = 400;
const SUCCESSES_AFTER = 500;
// The outcomes that wait to be reported; the oldest give way.
const WAITING_MAX = 20_000;

/** A call was refused by its breaker, and not made. */
export class BreakerOpen extends Error {
  constructor(name, retryAfter, reason) {
    super(`breaker ${JSON.stringify(name)} refused the call: ${reason}${retryAfter === null ? '' : `; try again in ${retryAfter} s`}`);
    this.name = 'BreakerOpen';
    this.breaker = name;
    this.retryAfter = retryAfter;
    this.reason = reason;
  }
}

/** The breakers of one gateway. */
export class Client {
  #wire;
  #url;
  #warn;
  #patience;
  #known = new Map();
  #outcomes = new Map();
  #waiting = 0;
  #timer = null;
  #due = Infinity;
  #reported = -Infinity;
  #awayUntil = 0;
  #awayFor = AWAY_FOR;
  #isAway = false;
  #isClosing = false;

  constructor({ url, token, patience = PATIENCE, warn = (message) => process.emitWarning(message, 'FuseboxWarning') } = {}) {
    this.#url = url ?? process.env.FUSEBOX_URL ?? 'http://127.0.0.1:9900';
    this.#wire = new Wire(this.#url, token ?? process.env.FUSEBOX_TOKEN);
    this.#patience = patience;
    this.#warn = warn;
  }

  /** Waits at most `patience` for the right to make one call: a permit, whose text is null where nobody could be asked. */
  async take(name) {
    const until = performance.now() + this.#patience;
    for (;;) {
      const now = performance.now();
      let known = this.#known.get(name);
      if (!known) this.#known.set(name, (known = { grant: null, refusal: null, asking: null }));
      const { grant, refusal } = known;
      if (grant && grant.left > 0 && now < grant.until) {
        grant.left -= 1;
        return grant.permit;
      }
      if (refusal && now < refusal.until) throw new BreakerOpen(name, refusal.retryAfter, refusal.reason);
      if (now < this.#awayUntil || now >= until || this.#isClosing) return { name, text: null, isSingle: true };
      known.asking ??= this.#ask(name, known);
      if (!(await answeredBy(known.asking, until - now))) {
        if (known.asking) this.#goesAway(`no answer within ${this.#patience} ms`);
        return { name, text: null, isSingle: true };
      }
    }
  }

  /** Notes how a call ended. */
  report(permit, ok, ms, kind = '') {
    const now = performance.now();
    // Of a call that nobody was asked about, the outcome may still be told, but not to somebody who is away.
    if (permit.text === null && (now < this.#awayUntil || this.#isClosing)) return;
    if (this.#waiting >= WAITING_MAX) {
      const [oldest, outcomes] = this.#outcomes.entries().next().value;
      this.#outcomes.delete(oldest);
      this.#waiting -= outcomes.length;
    }
    const outcome = { ok, ms: Math.round(ms * 1000) / 1000 };
    if (kind) outcome.kind = kind.slice(0, 64);
    // Outcomes of calls without a permit go together.
    const key = permit.text === null ? `${permit.name}\0` : permit;
    const kept = this.#outcomes.get(key);
    if (kept) kept.outcomes.push(outcome);
    else this.#outcomes.set(key, { permit, outcomes: [outcome], get length() { return this.outcomes.length; } });
    this.#waiting += 1;
    if (permit.isSingle && permit.text !== null) this.#sendBy(now);
    else this.#sendBy(ok ? now + SUCCESSES_AFTER : Math.max(now, this.#reported + BETWEEN_REPORTS));
  }

  /** Reports what is left; calls are then made unguarded. */
  async close() {
    this.#isClosing = true;
    await this.#send();
    this.#wire.close();
  }

  #sendBy(due) {
    if (due >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => this.#send(), Math.max(0, due - performance.now()));
    this.#timer.unref();
  }

  /** Asks, and resolves to true once what is known has changed. */
  async #ask(name, known) {
    const began = performance.now();
    try {
      const answer = await this.#wire.post(name, 'check', {});
      known.grant = known.refusal = null;
      if (answer.tripped === true) {
        this.#refused(known, answer);
      } else if (answer.tripped === false && typeof answer.permit === 'string' && answer.calls >= 1 && answer.valid_for_ms >= 0) {
        const permit = { name, text: answer.permit, isSingle: answer.calls === 1 };
        known.grant = { permit, left: answer.calls, until: began + answer.valid_for_ms };
      } else {
        throw new Error(`no answer of Fusebox: ${JSON.stringify(answer).slice(0, 200)}`);
      }
      this.#isHere();
      return true;
    } catch (error) {
      this.#goesAway(error.message);
      return false;
    } finally {
      known.asking = null;
      // Outcomes go along with a question, so that a healthy process has four round trips a second.
      this.#send();
    }
  }

  async #send() {
    clearTimeout(this.#timer);
    this.#due = Infinity;
    const batches = [...this.#outcomes.values()];
    this.#outcomes.clear();
    this.#waiting = 0;
    for (const { permit, outcomes } of batches) {
      const body = permit.text === null ? { outcomes } : { permit: permit.text, outcomes };
      try {
        this.#reported = performance.now();
        const answer = await this.#wire.post(permit.name, 'report', body);
        this.#isHere();
        const known = this.#known.get(permit.name);
        if (answer.tripped === true && known) {
          known.grant = null;
          this.#refused(known, answer);
        }
      } catch (error) {
        // Their breaker forgets them, as it forgets those of a process that has died.
        this.#goesAway(error.message);
        return;
      }
    }
  }

  #refused(known, answer) {
    const reason = String(answer.reason);
    const kept = reason === 'breaker_probing' ? PROBING_FOR : REFUSED_FOR;
    const retryAfter = Number.isInteger(answer.retry_after) ? answer.retry_after : null;
    known.refusal = { retryAfter, reason, until: performance.now() + kept };
  }

  #goesAway(why) {
    const now = performance.now();
    if (now < this.#awayUntil) return;
    if (!this.#isAway) this.#warn(`fusebox at ${this.#url} cannot be asked, so calls are made unguarded: ${why}`);
    this.#isAway = true;
    this.#awayUntil = now + this.#awayFor;
    this.#awayFor = Math.min(2 * this.#awayFor, AWAY_FOR_MAX);
  }

  #isHere() {
    this.#isAway = false;
    this.#awayUntil = 0;
    this.#awayFor = AWAY_FOR;
  }
}

/** What a promise of true or false resolves to within so many ms; false if it does not. */
function answeredBy(promise, ms) {
  return new Promise((resolve) => {
    const late = setTimeout(() => resolve(false), Math.max(0, ms));
    promise.then((answered) => {
      clearTimeout(late);
      resolve(answered);
    });
  });
}
