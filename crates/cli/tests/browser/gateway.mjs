// The real program behind the page: started, steered and watched; with a service behind it and a proxy that cuts.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const PROGRAM = process.env.FUSEBOX_PROGRAM;
const PATIENCE = 20000;

export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks until the answer is true. */
export async function until(what, question, patience = PATIENCE) {
  const start = performance.now();
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (performance.now() - start > patience) throw new Error(`in vain: ${what}`);
    await wait(20);
  }
}

/** Runs a verb of the program to its end. */
export function program(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(PROGRAM, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    child.stdout.on('data', (chunk) => (text += chunk));
    child.stderr.on('data', (chunk) => (text += chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, text }));
  });
}

/** A service: each first part of a path answers as its mood says: a status, or a function. */
export async function service() {
  const moods = {};
  const server = http.createServer((request, answer) => {
    const mood = moods[request.url.split('/')[1]] ?? 200;
    if (typeof mood === 'function') return mood(request, answer);
    answer.writeHead(mood, { 'content-type': 'text/plain', 'cache-control': 'max-age=60' });
    answer.end('well\n');
  });
  server.keepAliveTimeout = 60000;
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    moods,
    url: `http://127.0.0.1:${server.address().port}`,
    end() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** The program with a configuration and a data directory of its own. */
export async function gateway(yaml, args = []) {
  const folder = mkdtempSync(join(tmpdir(), 'fusebox-page-'));
  const file = join(folder, 'fusebox.yaml');
  writeFileSync(file, yaml);
  const all = ['run', file, '--admin', '127.0.0.1:0', '--data', join(folder, 'data'), '--log', 'json', ...args];
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FUSEBOX_') && name !== 'RUST_LOG'));
  const child = spawn(PROGRAM, all, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const lines = [];
  let rest = '';
  child.stderr.on('data', (chunk) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop();
    for (const line of parts) {
      try {
        lines.push(JSON.parse(line));
      } catch {
        lines.push({ message: line });
      }
    }
  });
  const ended = new Promise((resolve) => child.on('close', resolve));
  const said = (message) => until(`the gateway says ${message}: ${JSON.stringify(lines.slice(-3))}`, () => lines.find((line) => line.message === message));
  const admin = (await said('admin API')).addr;
  const listens = (await said('listening')).addr;
  const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
  const asked = (address, path, { method = 'GET', headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const request = http.request(`http://${address}${path}`, { method, headers, agent }, (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk) => (text += chunk));
        answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text }));
        answer.on('error', reject);
      });
      request.on('error', reject);
      request.end(body);
    });
  return {
    admin,
    url: `http://${admin}`,
    pid: child.pid,
    file,
    /** One request through the gateway. */
    call: (path, headers) => asked(listens, path, { headers }),
    /** `GET` of the admin API. */
    async api(path, headers) {
      const answer = await asked(admin, path, { headers });
      if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.text}`);
      return JSON.parse(answer.text);
    },
    ask: (path, options) => asked(admin, path, options),
    async command(name, action, body, headers = {}) {
      const path = `/api/v1/breakers/${encodeURIComponent(name)}/${action}`;
      return asked(admin, path, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
    },
    async end() {
      agent.destroy();
      child.kill('SIGKILL');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A Valkey or Redis server that keeps nothing. */
export async function store() {
  const finder = net.createServer();
  await new Promise((resolve) => finder.listen(0, '127.0.0.1', resolve));
  const { port } = finder.address();
  await new Promise((resolve) => finder.close(resolve));
  const name = ['/usr/bin', '/usr/local/bin'].some((folder) => existsSync(join(folder, 'valkey-server'))) ? 'valkey-server' : 'redis-server';
  const child = spawn(name, ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], { stdio: 'ignore' });
  return { url: `redis://127.0.0.1:${port}`, end: () => child.kill('SIGKILL') };
}

/** A proxy before an address, which can cut all connections and take none for a time. */
export async function cuttable(address) {
  const [host, port] = address.split(':');
  const pairs = new Set();
  let refusing = false;
  const server = net.createServer((near) => {
    if (refusing) return near.destroy();
    const far = net.connect(Number(port), host);
    const pair = { near, far };
    pairs.add(pair);
    const end = () => {
      near.destroy();
      far.destroy();
      pairs.delete(pair);
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${server.address().port}`,
    get open() {
      return pairs.size;
    },
    cut() {
      refusing = true;
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
    },
    mend() {
      refusing = false;
    },
    end() {
      this.cut();
      server.close();
    },
  };
}

/** The processor time that a process has used, in seconds. */
export async function processorTime(pid) {
  const { readFileSync } = await import('node:fs');
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
