// Opens pages of `simulate --html` in a real browser, and reports each behaviour as a line of JSON.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

import { program } from './gateway.mjs';

const BROWSERS = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** The folder for the pictures of docs/tuning.md; by default none are taken. */
const PICTURES = process.env.FUSEBOX_PICTURES;
const MARKUP = '<img src=x onerror="window.harmed=1">';

const folder = mkdtempSync(join(tmpdir(), 'fusebox-replay-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const file = (name, text) => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

const config = file('fusebox.yaml', `
version: 1
listen: 127.0.0.1:0
upstreams:
  orders: { url: "http://127.0.0.1:1", breaker: { trip: { consecutive_failures: 5 }, cooldown: 5s } }
  tenants: { url: "http://127.0.0.1:1", breaker: { key: "{header.x-tenant}", trip: { consecutive_failures: 2 }, cooldown: 5s } }
routes:
  - { path: "/orders/{*rest}", upstream: orders }
  - { path: "/tenants/{*rest}", upstream: tenants }
`);
/** Ten calls a second over five minutes, down in the third; a failure in fifty otherwise. */
const lines = [];
for (let number = 0; number < 3000; number++) {
  const down = number >= 1200 && number < 1800;
  lines.push(JSON.stringify({ at: number / 10, ms: 30, status: down || number % 50 === 7 ? 503 : 200, upstream: 'orders' }));
}
for (let number = 0; number < 200; number++) {
  lines.push(JSON.stringify({ at: number, ms: 30, status: number < 50 ? 503 : 200, upstream: 'tenants', who: MARKUP }));
}
const log = file('log.ndjson', lines.join('\n'));
const page = (name) => join(folder, name);

async function made(name, args) {
  const { code, text } = await program(['simulate', config, '--trace', log, '--map', 'header.x-tenant=.who', '--html', page(name), ...args]);
  assert.equal(code, 0, text);
  return page(name);
}
const all = await made('all.html', []);
const swept = await made('swept.html', ['--breaker', 'orders', '--sweep', 'consecutive_failures=1..8', '--sweep', 'cooldown=2s,5s,10s,20s']);

const browser = await chromium.launch({ executablePath: process.env.FUSEBOX_BROWSER ?? BROWSERS.find(existsSync), args: ['--no-sandbox'] });

async function opened(path, context = {}) {
  const apart = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...context });
  const page = await apart.newPage();
  page.complaints = [];
  page.asked = [];
  page.on('pageerror', (error) => page.complaints.push(error.message));
  page.on('console', (message) => message.type() === 'error' && page.complaints.push(message.text()));
  page.on('request', (request) => page.asked.push(request.url()));
  await page.goto(pathToFileURL(path).href);
  return page;
}

const BEHAVIOURS = {
  async the_page_shows_calls_states_trips_and_settings() {
    const page = await opened(all);
    assert.match(await page.locator('h1').textContent(), /^\d+ trips$/);
    const orders = page.locator('section[data-breaker=orders]');
    assert.match(await orders.textContent(), /had failed anyway, \d+ would have succeeded/);
    assert.ok((await orders.locator('svg.plot rect.fail').count()) > 0);
    assert.ok((await orders.locator('svg.plot rect.state.open').count()) > 0);
    assert.equal(await orders.locator('.chip').textContent(), 'closed at the end');
    const reasons = await orders.locator('tbody td:last-child').allTextContents();
    assert.match(reasons[0], /^5 consecutive failures: 5 × 503/);
    // A shape that is drawn has a size.
    const box = await orders.locator('svg.plot').boundingBox();
    assert.ok(box.width > 500 && box.height > 100, JSON.stringify(box));
    assert.match(await page.locator('pre').first().textContent(), /^trip: /);
    await page.context().close();
  },

  async a_sweep_has_its_plot_its_table_and_the_line_to_paste() {
    const page = await opened(swept);
    const sweep = page.locator('section', { has: page.locator('#sweep') });
    const points = await sweep.locator('circle.point').count();
    assert.equal(points, 32 + 3, 'a point for each value, and the key');
    assert.equal(await sweep.locator('tbody tr').count(), 33);
    assert.match(await sweep.locator('tbody tr.best').textContent(), /^1consecutive_failures: /);
    assert.match(await sweep.locator('pre').textContent(), /trip: \{ consecutive_failures: \d \}/);
    await page.context().close();
  },

  async nothing_is_loaded_from_elsewhere_and_no_script_runs() {
    const page = await opened(all);
    assert.deepEqual(page.asked.filter((url) => !url.startsWith('data:')), [pathToFileURL(all).href]);
    assert.equal(await page.locator('script').count(), 0);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  },

  async names_with_markup_do_nothing() {
    const page = await opened(all);
    assert.equal(await page.locator('img').count(), 0);
    assert.equal(await page.evaluate(() => window.harmed), undefined);
    assert.ok((await page.locator('h2', { hasText: 'onerror' }).count()) === 1);
    await page.context().close();
  },

  async axe_finds_nothing_serious_in_either_theme() {
    for (const colorScheme of ['light', 'dark']) {
      for (const path of [all, swept]) {
        const page = await opened(path, { colorScheme });
        await page.evaluate(AXE);
        const { violations } = await page.evaluate(() => window.axe.run());
        const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
        assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), [], colorScheme);
        const name = (picture) => join(PICTURES, `${picture}-${colorScheme}.png`);
        // Those of docs/tuning.md: the plot of the sweep, and the timeline.
        if (PICTURES && path === swept) {
          await page.screenshot({ path: name('tuning'), clip: { x: 40, y: 140, width: 1200, height: 560 } });
          await page.locator('section[data-breaker=orders] .scroll').first().screenshot({ path: name('timeline') });
        }
        await page.context().close();
      }
    }
  },

  async a_narrow_page_has_nothing_aside() {
    const page = await opened(swept, { viewport: { width: 380, height: 800 } });
    const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= seen, `${wide} of ${seen}`);
    await page.context().close();
  },
};

for (const [name, behaviour] of Object.entries(BEHAVIOURS)) {
  const start = performance.now();
  let error = null;
  try {
    await behaviour();
  } catch (why) {
    error = String(why.stack ?? why);
  }
  console.log(JSON.stringify({ name, error, ms: Math.round(performance.now() - start) }));
}
await browser.close();
process.exit(0);
