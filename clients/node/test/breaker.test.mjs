// The client before a real gateway, and before some that are none.

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';

import { breaker, BreakerOpen, Client, wrapFetch } from '../src/index.js';
import { gateway, PATIENCE, until } from './gateway.mjs';

const FIVE = '{ stripe: { trip: { consecutive_failures: 5 }, cooldown: 60s } }';
const SOON = '{ stripe: { trip: { consecutive_failures: 1 }, cooldown: 1s } }';

const patient = (url, warn = () => {}) => new Client({ url, patience: PATIENCE, warn });
const fail = (guard) => guard.run(() => Promise.reject(new Error('down'))).catch(() => {});
const isRefused = (guard) => guard.run(() => false).catch((error) => error instanceof BreakerOpen);

/** Runs a test with a gateway, which ends with it. */
const before = (breakers, run) => async () => {
  const it = await gateway(breakers);
  try {
    await run(it);
  } finally {
    await it.kill();
  }
};

/** A server that does so with each connection; its address. */
async function server(t, answer) {
  const listener = net.createServer(answer).listen(0, '127.0.0.1');
  const open = new Set();
  listener.on('connection', (socket) => open.add(socket.on('error', () => {})));
  t.after(() => {
    open.forEach((socket) => socket.destroy());
    listener.close();
  });
  await until(() => listener.address());
  return `http://127.0.0.1:${listener.address().port}`;
}

test('failures of several clients open it for all, at the fifth', before(FIVE, async (it) => {
  const guards = Array.from({ length: 8 }, () => breaker('stripe', { client: patient(it.url) }));
  for (const guard of guards.slice(0, 4)) await fail(guard);
  await until(async () => (await it.breaker('stripe')).counts.failure === 4);
  assert.equal((await it.breaker('stripe')).state, 'closed');
  await fail(guards[4]);
  await until(async () => (await it.breaker('stripe')).state === 'open');
  for (const guard of guards) await until(() => isRefused(guard));
}));

test('half-open lets one through', before(SOON, async (it) => {
  const guards = Array.from({ length: 4 }, () => breaker('stripe', { client: patient(it.url) }));
  await fail(guards[0]);
  await until(async () => (await it.breaker('stripe')).state === 'open');
  let inside = 0;
  let most = 0;
  let probing = 0;
  let letGo;
  const held = new Promise((resolve) => { letGo = resolve; });
  const attempts = guards.map((guard) => until(() => guard.run(async () => {
    most = Math.max(most, ++inside);
    await held;
    inside -= 1;
    return true;
  }).catch((error) => {
    if (error.reason === 'breaker_probing') probing += 1;
    return false;
  })));
  await until(() => inside === 1 && probing >= 20);
  assert.equal(most, 1);
  letGo();
  await Promise.all(attempts);
  await until(async () => (await it.breaker('stripe')).state === 'closed');
}));

test('many calls take few round trips', before(FIVE, async (it) => {
  let trips = 0;
  const { port } = new URL(it.url);
  const proxy = http.createServer((request, response) => {
    trips += 1;
    const { method, url: path, headers } = request;
    request.pipe(http.request({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    }));
  }).listen(0, '127.0.0.1');
  await until(() => proxy.address());
  const client = patient(`http://127.0.0.1:${proxy.address().port}`);
  const guard = breaker('stripe', { client });
  const began = performance.now();
  let calls = 0;
  while (performance.now() - began < 2000) {
    await guard.run(() => { calls += 1; });
    if (calls % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const seconds = (performance.now() - began) / 1000;
  assert.ok(calls > 200, `${calls}`);
  assert.ok(trips <= 5 * seconds + 2, `${trips} in ${seconds} s`);
  await client.close();
  proxy.close();
  proxy.closeAllConnections();
  assert.equal((await it.breaker('stripe')).counts.success, calls);
}));

test('a gateway that is killed costs no error', before(FIVE, async (it) => {
  const warned = [];
  const guard = breaker('stripe', { client: patient(it.url, (message) => warned.push(message)) });
  await guard.run(() => it.kill());
  for (let call = 0; call < 1000; call += 1) assert.equal(await guard.run(() => call), call);
  await until(() => warned.length === 1 || isRefused(guard));
  assert.match(warned[0], /cannot be asked, so calls are made unguarded/);
}));

test('a hold without an end has no time to come back', before(FIVE, async (it) => {
  await it.act('stripe', 'open');
  const refused = await breaker('stripe', { client: patient(it.socket) }).run(() => 1).catch((error) => error);
  assert.deepEqual([refused.name, refused.retryAfter, refused.reason], ['BreakerOpen', null, 'held_open']);
}));

test('what counts of fetch', before(FIVE, async (it) => {
  const service = http.createServer((request, response) => {
    response.statusCode = Number(request.url.slice(1));
    response.end('body');
  }).listen(0, '127.0.0.1');
  await until(() => service.address());
  const at = `http://127.0.0.1:${service.address().port}`;
  const client = patient(it.url);
  const guarded = wrapFetch(fetch, 'stripe', { client });
  assert.equal((await guarded(`${at}/200`)).status, 200);
  assert.equal((await guarded(`${at}/404`)).status, 404);
  // The failed answer reaches its caller whole.
  const failed = await guarded(`${at}/503`);
  assert.deepEqual([failed.status, await failed.text()], [503, 'body']);
  await assert.rejects(guarded(at, { signal: AbortSignal.abort() }), { name: 'AbortError' });
  service.close();
  service.closeAllConnections();
  await assert.rejects(guarded(`${at}/200`), TypeError);
  await client.close();
  const { counts, last_failures: failures } = await it.breaker('stripe');
  assert.deepEqual([counts.success, counts.failure], [2, 2]);
  assert.match(failures[0].error, /^(ECONNREFUSED|ECONNRESET|UND_ERR_SOCKET)$/);
  assert.equal(failures[1].error, 'status_503');
}));

test('a gateway that hangs costs little and seldom', async (t) => {
  const guard = breaker('stripe', { client: new Client({ url: await server(t, () => {}), warn: () => {} }) });
  const waits = [];
  for (let call = 0; call < 200; call += 1) {
    const began = performance.now();
    assert.equal(await isRefused(guard), false);
    waits.push(performance.now() - began);
  }
  assert.ok(waits[0] < 1000, `${waits[0]}`);
  assert.ok(waits.sort((a, b) => a - b)[150] < 20, `${waits[150]}`);
});

test('answers that are nonsense refuse nothing', async (t) => {
  const bodies = ['', 'null', '[]', '{}', '{"tripped":0}', '{"tripped":false}', '{"tripped":false,"permit":"x","calls":"y"}', '\xff'];
  const answers = bodies.map((body) => `HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  for (const answer of [...answers, '', 'nonsense\r\n\r\n', 'HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n']) {
    const url = await server(t, (socket) => socket.once('data', () => socket.end(answer)));
    assert.equal(await isRefused(breaker('stripe', { client: patient(url) })), false, answer);
  }
});

test('an address that is none is said at once', () => {
  assert.throws(() => new Client({ url: 'localhost:9900' }), /expected http:\/\/HOST:PORT/);
});
