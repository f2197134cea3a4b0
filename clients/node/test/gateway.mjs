// A real gateway for the tests: the program that FUSEBOX_PROGRAM names, with a file of breakers alone.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync, openSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const program = process.env.FUSEBOX_PROGRAM ?? path.join(root, 'target/debug/fusebox');
// For what happens soon on a machine that is busy, in ms.
export const PATIENCE = 30_000;

export async function gateway(breakers) {
  const dir = mkdtempSync(path.join(tmpdir(), 'fusebox-'));
  const file = path.join(dir, 'fusebox.yaml');
  writeFileSync(file, `breakers: ${breakers}\n`);
  const log = path.join(dir, 'log');
  const out = openSync(log, 'w');
  const args = ['run', file, '--admin', `127.0.0.1:0,unix:${dir}/admin.sock`, '--store', 'memory:', '--workers', '1', '--log', 'json'];
  const child = spawn(program, args, { cwd: dir, stdio: ['ignore', 'ignore', out] });
  closeSync(out);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const port = await until(() => /127\.0\.0\.1:([1-9]\d*)/.exec(readFileSync(log, 'utf8'))?.[1]);
  const url = `http://127.0.0.1:${port}`;
  await until(() => fetch(`${url}/readyz`).then((answer) => answer.ok, () => false));
  return {
    url,
    socket: `unix:${dir}/admin.sock`,
    breaker: (name) => fetch(`${url}/api/v1/breakers/${name}`).then((answer) => answer.json()),
    act: (name, word) => fetch(`${url}/api/v1/breakers/${name}/${word}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }),
    async kill() {
      child.kill('SIGKILL');
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** What `holds` gives as soon as that is something. */
export async function until(holds) {
  const end = performance.now() + PATIENCE;
  while (performance.now() < end) {
    const found = await holds();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('it did not happen in time');
}
