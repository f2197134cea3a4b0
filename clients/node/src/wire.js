// One kept connection to the API of a gateway, over TCP or a Unix socket.

import http from 'node:http';
import https from 'node:https';

// How long the other side may take for one answer, in ms. A call does not wait for so long.
const ANSWER_WITHIN = 2000;
const BYTES_MAX = 1 << 20;

/** Asks one gateway. */
export class Wire {
  #agent;
  #how;
  #prefix = '';
  #speaks = http;

  constructor(url, token) {
    const headers = { 'content-type': 'application/json' };
    if (token) headers.authorization = `Bearer ${token}`;
    if (url.startsWith('unix:')) {
      this.#how = { socketPath: url.slice('unix:'.length), host: 'localhost', headers };
    } else {
      const parts = URL.canParse?.(url) === false ? null : parsed(url);
      if (!parts || !/^https?:$/.test(parts.protocol)) {
        throw new TypeError(`the address of Fusebox is ${JSON.stringify(url)}; expected http://HOST:PORT, https://HOST or unix:/PATH`);
      }
      if (parts.protocol === 'https:') this.#speaks = https;
      this.#how = { hostname: parts.hostname.replace(/^\[|\]$/g, ''), port: parts.port || undefined, headers };
      this.#prefix = parts.pathname.replace(/\/$/, '');
    }
    // An idle connection does not keep the process alive.
    this.#agent = new this.#speaks.Agent({ keepAlive: true, maxSockets: 4 });
  }

  /** The answer to POST /api/v1/calls/NAME/WORD; rejects where it is none of Fusebox. */
  post(name, word, body) {
    return new Promise((resolve, reject) => {
      const text = JSON.stringify(body);
      const request = this.#speaks.request({
        ...this.#how,
        agent: this.#agent,
        method: 'POST',
        path: `${this.#prefix}/api/v1/calls/${encodeURIComponent(name)}/${word}`,
        headers: { ...this.#how.headers, 'content-length': Buffer.byteLength(text) },
      });
      const late = setTimeout(() => request.destroy(new Error(`no answer within ${ANSWER_WITHIN} ms`)), ANSWER_WITHIN);
      late.unref();
      const fail = (error) => {
        clearTimeout(late);
        request.destroy();
        reject(error);
      };
      request.on('error', fail);
      request.on('socket', (socket) => socket.unref());
      request.on('response', (response) => {
        const parts = [];
        let bytes = 0;
        response.on('data', (part) => {
          parts.push(part);
          bytes += part.length;
          if (bytes > BYTES_MAX) fail(new Error('an answer without an end'));
        });
        response.on('error', fail);
        response.on('aborted', () => fail(new Error('an answer that was cut')));
        response.on('end', () => {
          clearTimeout(late);
          const answer = Buffer.concat(parts).toString();
          if (response.statusCode !== 200) {
            return reject(new Error(`${word} of ${JSON.stringify(name)}: ${response.statusCode} ${answer.slice(0, 200)}`));
          }
          try {
            const read = JSON.parse(answer);
            if (typeof read !== 'object' || read === null || Array.isArray(read)) throw new Error('not an object');
            resolve(read);
          } catch (error) {
            reject(new Error(`${word} of ${JSON.stringify(name)}: ${error.message}: ${answer.slice(0, 200)}`));
          }
        });
      });
      request.end(text);
    });
  }

  close() {
    this.#agent.destroy();
  }
}

function parsed(url) {
  try {
    return new URL(url);
  } catch {
    return null;
  }
}
