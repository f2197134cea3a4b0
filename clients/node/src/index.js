// Circuit breakers that all processes share (docs/service.md).

import { BreakerOpen, Client } from './client.js';

export { BreakerOpen, Client };

let shared;

/** A breaker before functions. */
export class Breaker {
  #client;
  #failure;

  constructor(name, { failure = () => true, client } = {}) {
    this.name = name;
    this.#failure = failure;
    this.#client = client;
  }

  async run(call) {
    const client = (this.#client ??= shared ??= new Client());
    const permit = await client.take(this.name);
    const began = performance.now();
    let result;
    try {
      result = await call();
    } catch (error) {
      // A refusal of a breaker further in says nothing of this one's service.
      const isFailure = !(error instanceof BreakerOpen) && this.#failure(error);
      if (!isGivenUp(error)) client.report(permit, !isFailure, performance.now() - began, isFailure ? kind(error) : '');
      throw error;
    }
    client.report(permit, true, performance.now() - began);
    return result;
  }
}

/** The breaker of that name: one of `breakers:` in the gateway's file, or an upstream. */
export function breaker(name, options) {
  return new Breaker(name, options);
}

/** A `fetch` with a breaker before it. */
export function wrapFetch(fetch, name, { isFailure = (response) => response.status >= 500, ...options } = {}) {
  const guard = new Breaker(name, options);
  return async (...request) => {
    let answer;
    try {
      return await guard.run(async () => {
        answer = await fetch(...request);
        if (isFailure(answer)) throw new FailedAnswer(answer);
        return answer;
      });
    } catch (error) {
      // The answer is its caller's, whatever the breaker makes of it.
      if (error instanceof FailedAnswer) return answer;
      throw error;
    }
  };
}

class FailedAnswer extends Error {
  constructor(response) {
    super();
    this.name = `status_${response.status}`;
  }
}

/** True for a call that its own caller gave up, which says nothing of the service; a timeout of AbortSignal.timeout does. */
function isGivenUp(error) {
  return error?.name === 'AbortError';
}

function kind(error) {
  if (error?.name === 'TimeoutError') return 'timeout';
  return String(error?.cause?.code ?? error?.code ?? error?.name ?? 'error');
}
