/** A call was refused by its breaker, and not made. */
export class BreakerOpen extends Error {
  /** The breaker's name. */
  readonly breaker: string;
  /** Whole seconds until another try has a chance; null: an operator holds it open without an end. */
  readonly retryAfter: number | null;
  /** The reason, such as `breaker_open`, `breaker_probing` or `held_open`. */
  readonly reason: string;
}

export interface ClientOptions {
  /** The gateway's admin API: `FUSEBOX_URL` by default, else `http://127.0.0.1:9900`; `unix:/PATH` is a socket. */
  url?: string;
  /** The service token; `FUSEBOX_TOKEN` by default. */
  token?: string;
  /** Milliseconds that a call waits for an answer before it is made without; 50 by default. */
  patience?: number;
  /** Told of a gateway that cannot be asked; `process.emitWarning` by default. */
  warn?: (message: string) => void;
}

export interface BreakerOptions {
  /** True for an error that is the service's failure; by default every error. Another one counts as a success. */
  failure?: (error: unknown) => boolean;
  /** The client; by default one that all breakers share. */
  client?: Client;
}

/** What a process knows of its breakers. */
export class Client {
  constructor(options?: ClientOptions);
  /** Reports what is left; calls are then made unguarded. */
  close(): Promise<void>;
}

/** A breaker before functions. */
export class Breaker {
  constructor(name: string, options?: BreakerOptions);
  readonly name: string;
  /** Calls a function if the breaker lets it, and reports how it ended. Rejects with BreakerOpen. */
  run<T>(call: () => T | PromiseLike<T>): Promise<T>;
}

/** The breaker of that name: one of `breakers:` in the gateway's file, or an upstream. */
export function breaker(name: string, options?: BreakerOptions): Breaker;

/** A `fetch` with a breaker before it: answers of 500 and above and errors of the network are failures; a request that its caller aborts is none. */
export function wrapFetch(
  fetch: typeof globalThis.fetch,
  name: string,
  options?: BreakerOptions & { isFailure?: (response: Response) => boolean },
): typeof globalThis.fetch;
