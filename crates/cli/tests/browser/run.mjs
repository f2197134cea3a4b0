// Drives the page in a real browser, behaviour by behaviour, and reports each as a line of JSON.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

import { cuttable, gateway, processorTime, program, service, store, until, wait } from './gateway.mjs';

const LONG = process.env.FUSEBOX_PROVE === '1';
const BROWSERS = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WIDE = { width: 1280, height: 900 };
const MARKUP = '<img src=x onerror="window.harmed=1">';

const upstream = await service();
const browser = await chromium.launch({ executablePath: process.env.FUSEBOX_BROWSER ?? BROWSERS.find(existsSync), args: ['--no-sandbox'] });

const own = await gateway(`
listen: 127.0.0.1:0
upstreams:
  orders:
    url: ${upstream.url}
    breaker: { trip: { consecutive_failures: 3 }, cooldown: { base: 30s, jitter: 0% } }
    fallback: [{ respond: { status: 200, json: { orders: [] } } }]
  search: { url: "${upstream.url}", breaker: { trip: { consecutive_failures: 3 }, cooldown: { base: 20s, jitter: 0% } } }
  stock: { url: "${upstream.url}", breaker: { trip: { consecutive_failures: 1 }, cooldown: 60s } }
  tenants: { url: "${upstream.url}", breaker: { key: "{header.x-tenant}", trip: { consecutive_failures: 1 }, cooldown: 60s } }
routes:
  - { path: "/orders/{*rest}", upstream: orders }
  - { path: "/search/{*rest}", upstream: search }
  - { path: "/stock/{*rest}", upstream: stock }
  - { path: "/tenants/{*rest}", upstream: tenants }
`);

/** A page of its own, with what its console complained of. */
async function opened(url, { context = {}, hash = '', joined = true, before = null } = {}) {
  const apart = await browser.newContext({ viewport: WIDE, ...context });
  const page = await apart.newPage();
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(error.message));
  page.on('console', (message) => message.type() === 'error' && page.complaints.push(message.text()));
  page.on('dialog', (dialog) => {
    page.complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  if (before) await page.addInitScript(before);
  await page.goto(`${url}/${hash}`);
  if (joined) await page.locator('.lamp[data-is=live]').waitFor();
  return page;
}

const row = (page, name) => page.locator(`tr[data-breaker="${name.replace(/["\\]/g, '\\$&')}"]`);
const state = (page, name) => row(page, name).locator('.chip');
const fail = async (name, times, path = 'a') => {
  upstream.moods[name] = 503;
  for (let count = 0; count < times; count++) await own.call(`/${name}/${path}`);
  upstream.moods[name] = 200;
};
const reset = (name) => own.command(name, 'reset', { reason: 'a test' });

const BEHAVIOURS = {
  async a_trip_is_shown_within_a_second() {
    const page = await opened(own.url);
    assert.equal(await state(page, 'orders').textContent(), 'closed');
    assert.match(await page.getByRole('status').first().textContent(), /All \d+ breakers are closed/);
    let took = Infinity;
    // A machine that does much else may take long once.
    for (let tries = 0; tries < 3 && took >= 1000; tries++) {
      await reset('orders');
      await page.waitForFunction(() => /All/.test(document.querySelector('#verdict').textContent));
      await fail('orders', 3);
      const start = performance.now();
      await page.waitForFunction(() => document.querySelector('tr[data-breaker="orders"] .chip').textContent === 'open');
      await page.waitForFunction(() => /1 of \d+ breakers is open/.test(document.querySelector('#verdict').textContent.replace(/\s+/g, ' ')));
      took = performance.now() - start;
    }
    note(`a trip is shown after ${took.toFixed(0)} ms`);
    assert.ok(took < 1000, `${took} ms`);
    assert.equal(await page.locator('tbody tr').first().getAttribute('data-breaker'), 'orders', 'the red one is first');
    assert.match(await page.title(), /^1 open/);
    await page.locator('#verdict a', { hasText: 'orders' }).waitFor();
    // Clients get the configured answer meanwhile.
    for (let count = 0; count < 20; count++) await own.call('/orders/a');
    await page.waitForFunction(() => /refuses [\d.]+ calls\/s.*its clients get the configured answer/.test(document.querySelector('#verdict').textContent));
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  },

  async a_row_is_whole_before_it_is_in_sight() {
    // An observer that never tells: what stands here stood there in the first frame.
    const unseen = () => (window.IntersectionObserver = class { observe() {} unobserve() {} disconnect() {} });
    const page = await opened(own.url, { before: unseen });
    // Whatever the state is that others left.
    for (const name of ['orders', 'search', 'stock']) assert.match(await state(page, name).textContent(), /^(closed|open|half-open)/);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  },

  async the_countdown_is_right_to_a_second() {
    await fail('search', 3);
    const page = await opened(own.url, { hash: '#/b/search' });
    const sample = async () => {
      // The gateway's own answer, with the clock of this machine.
      const { retry_at: retryAt } = await own.api('/api/v1/breakers/search');
      const shown = await page.evaluate(() => ({
        row: document.querySelector('tr[data-breaker="search"] .next').textContent,
        detail: /tries again in (\d+ s)/.exec(document.querySelector('.detail .say').textContent)?.[1],
        at: Date.now(),
      }));
      const left = (Date.parse(retryAt) - shown.at) / 1000;
      const wrong = [shown.row, shown.detail].filter((text) => !(Math.abs(Number(/^(\d+) s$/.exec(text)?.[1]) - left) <= 1));
      return wrong.length === 0 ? null : `${wrong} for ${left} s`;
    };
    for (let count = 0; count < 4; count++) {
      let wrong = await sample();
      // A machine that does much else may be late once.
      for (let tries = 0; wrong && tries < 3; tries++) wrong = await sample();
      assert.equal(wrong, null);
      await wait(640);
    }
    await page.context().close();
    await reset('search');
  },

  async a_cut_stream_resumes_without_a_hole() {
    const proxy = await cuttable(own.admin);
    const page = await opened(`http://${proxy.address}`);
    const listed = () => page.locator('#events .time li').allTextContents();
    proxy.cut();
    await page.locator('.lamp[data-is=stale]').waitFor();
    assert.match(await page.locator('#lamp').textContent(), /stale \d+ s/);
    for (let count = 0; count < 5; count++) {
      await fail('stock', 1);
      await reset('stock');
    }
    proxy.mend();
    await page.locator('.lamp[data-is=live]').waitFor();
    const { events } = await own.api('/api/v1/state');
    await until('all events are listed', async () => (await listed()).length === events.length);
    const stock = (await listed()).filter((text) => text.includes('stock') && text.includes('opened'));
    assert.equal(stock.length, events.filter((event) => event.breaker === 'stock' && event.to === 'open').length);
    assert.ok(stock.length >= 5);
    assert.ok(!(await listed()).some((text) => text.includes('missing')));
    await page.context().close();
    proxy.end();
  },

  async a_gateway_that_was_started_again_is_joined_anew() {
    const other = await gateway(`
listen: 127.0.0.1:0
upstreams: { anew: { url: "${upstream.url}", breaker: { trip: { consecutive_failures: 1 } } } }
routes: [{ path: "/{*rest}", upstream: anew }]
`);
    const proxy = await cuttable(own.admin);
    const page = await opened(`http://${proxy.address}`);
    proxy.cut();
    await page.locator('.lamp[data-is=stale]').waitFor();
    proxy.mend(other.admin);
    await row(page, 'anew').waitFor();
    await until('the old rows are gone', async () => (await page.locator('tbody tr').count()) === 1);
    await page.locator('.lamp[data-is=live]').waitFor();
    upstream.moods.anew = 503;
    await other.call('/anew/a');
    await page.waitForFunction(() => document.querySelector('tr[data-breaker="anew"] .chip').textContent === 'open');
    await page.context().close();
    proxy.end();
    await other.end();
  },

  async a_hold_needs_a_reason_and_appears_in_breakers_show() {
    const page = await opened(own.url);
    await row(page, 'stock').locator('.name a').click();
    await page.waitForURL(/#\/b\/stock$/);
    await page.getByRole('button', { name: 'Release' }).waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Hold open', exact: true }).click();
    const dialog = page.getByRole('dialog');
    assert.match(await dialog.locator('.will').textContent(), /calls\/s to stock will be refused for 10m/);
    const submit = dialog.getByRole('button', { name: 'Hold open' });
    assert.equal(await page.getByLabel('For', { exact: true }).inputValue(), '10m');
    await submit.click();
    assert.match(await dialog.getByRole('alert').textContent(), /Say why/);
    assert.equal((await own.api('/api/v1/breakers/stock')).hold, null);
    await page.getByLabel('Reason', { exact: true }).fill('moving the database');
    await page.getByLabel('For', { exact: true }).fill('ten minutes');
    await submit.click();
    assert.match(await dialog.getByRole('alert').textContent(), /such as 10m/);
    await page.getByLabel('For', { exact: true }).fill('5m');
    await page.getByLabel('Your name').fill('anna');
    assert.equal(await page.getByLabel('Scope').inputValue(), 'node');
    await submit.click();
    await dialog.waitFor({ state: 'hidden' });
    await page.waitForFunction(() => document.querySelector('tr[data-breaker="stock"] .chip').textContent === 'held open');
    const shown = await program(['breakers', 'show', 'stock', '--admin', own.url]);
    assert.match(shown.text, /held open/);
    assert.match(shown.text, /moving the database/);
    assert.match(shown.text, /anna/);
    await page.locator('#verdict', { hasText: 'is held open by anna' }).waitFor();
    // Where there is a hold there is a release.
    await page.getByRole('button', { name: 'Release' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Release' }).click();
    await until('the hold is over', async () => (await own.api('/api/v1/breakers/stock')).hold === null);
    await page.waitForFunction(() => document.querySelector('tr[data-breaker="stock"] .chip').textContent !== 'held open');
    assert.deepEqual(page.complaints, []);
    await page.context().close();
    await reset('stock');
  },

  async what_the_gateway_refuses_keeps_the_dialog_and_is_said() {
    const page = await opened(own.url, { hash: '#/b/stock' });
    await page.getByRole('button', { name: 'Hold closed', exact: true }).click();
    await page.getByLabel('Reason', { exact: true }).fill('a test');
    await page.getByLabel('For', { exact: true }).fill('99999d');
    await page.getByRole('dialog').getByRole('button', { name: 'Hold closed' }).click();
    await until('the gateway says why', async () => (await page.getByRole('dialog').getByRole('alert').textContent()).length > 10);
    assert.ok(await page.getByRole('dialog').isVisible());
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'hidden' });
    await page.context().close();
  },

  async names_with_markup_do_nothing() {
    upstream.moods.tenants = 503;
    await own.call('/tenants/a', { 'x-tenant': MARKUP });
    upstream.moods.tenants = 200;
    const name = `tenants/${MARKUP}`;
    const page = await opened(own.url);
    await row(page, name).locator('.name a').click();
    await page.locator('.detail h2', { hasText: '<img' }).waitFor();
    await until('its failures are shown', async () => (await page.locator('.fails tbody tr').count()) === 1);
    await page.getByRole('button', { name: 'Reset' }).click();
    await page.getByRole('dialog').getByText(MARKUP).first().waitFor();
    await page.getByLabel('Reason', { exact: true }).fill(MARKUP);
    await page.getByLabel('Your name').fill('<b>eve</b>');
    await page.getByRole('dialog').getByRole('button', { name: 'Reset' }).click();
    await page.locator('#toast', { hasText: 'is reset' }).waitFor();
    assert.equal(await page.evaluate(() => document.querySelectorAll('main img, main b:not(:empty) b, dialog img').length), 0);
    assert.equal(await page.evaluate(() => window.harmed), undefined);
    assert.deepEqual(page.complaints, []);
    // Nor where the server writes the table.
    const plain = (await own.ask('/')).text;
    assert.ok(plain.includes('&lt;img') && !plain.includes('<img'), plain);
    await page.context().close();
  },

  async axe_finds_nothing_serious_in_either_theme() {
    const found = [];
    for (const colorScheme of ['light', 'dark']) {
      for (const viewport of [WIDE, { width: 360, height: 780 }]) {
        const page = await opened(own.url, { context: { colorScheme, viewport, reducedMotion: 'reduce' }, hash: '#/b/orders' });
        await page.locator('.rules li').first().waitFor();
        await page.locator('summary').click();
        await page.locator('.settings div').first().waitFor();
        const check = async (where) => {
          await page.evaluate(AXE);
          const { violations } = await page.evaluate(() => window.axe.run());
          for (const { id, impact, nodes } of violations) {
            if (['serious', 'critical'].includes(impact)) found.push(`${where} ${colorScheme} ${viewport.width}: ${id} ${nodes.map((node) => `${node.html} ${node.failureSummary}`).slice(0, 3)}`);
          }
        };
        await check('page');
        if (viewport === WIDE) {
          await page.getByRole('button', { name: 'Hold open', exact: true }).click();
          await check('dialog');
        }
        await page.context().close();
      }
    }
    assert.deepEqual(found, []);
  },

  async the_keyboard_reaches_all() {
    const page = await opened(own.url);
    const focused = () => page.evaluate(() => document.activeElement.textContent || document.activeElement.id);
    await page.keyboard.press('/');
    assert.equal(await focused(), 'filter');
    await page.keyboard.type('sto');
    await page.waitForFunction(() => [...document.querySelectorAll('tbody tr')].filter((row) => !row.hidden).length === 1);
    await page.keyboard.press('Escape');
    await page.waitForFunction(() => [...document.querySelectorAll('tbody tr')].every((row) => !row.hidden));
    await page.keyboard.press('Escape');
    await page.keyboard.press('j');
    const first = await focused();
    await page.keyboard.press('j');
    const second = await focused();
    assert.notEqual(first, second);
    await page.keyboard.press('k');
    assert.equal(await focused(), first);
    await page.keyboard.press('Enter');
    await page.locator('.detail h2', { hasText: first }).waitFor();
    await page.keyboard.press('Escape');
    await page.locator('.detail').waitFor({ state: 'hidden' });
    await page.waitForFunction((name) => document.activeElement.textContent === name, first);
    // The theme is chosen by hand, too.
    const theme = page.getByRole('button', { name: 'Theme: system' });
    await theme.press('Enter');
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light');
    await page.context().close();
  },

  async rows_are_patched_and_keep_the_focus() {
    const page = await opened(own.url);
    await page.evaluate(() => (document.querySelector('tr[data-breaker="search"]').kept = true));
    await row(page, 'search').locator('a').focus();
    await fail('search', 3);
    await page.waitForFunction(() => document.querySelector('tr[data-breaker="search"] .chip').textContent === 'open');
    await wait(1200);
    const kept = await page.evaluate(() => [document.querySelector('tr[data-breaker="search"]').kept, document.activeElement.textContent]);
    assert.deepEqual(kept, [true, 'search']);
    await page.context().close();
    await reset('search');
  },

  async a_narrow_page_has_nothing_aside() {
    const page = await opened(own.url, { context: { viewport: { width: 360, height: 780 } }, hash: '#/b/orders' });
    await page.locator('.rules li').first().waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(wide, 360);
    await page.context().close();
  },

  async a_closed_page_leaves_no_listener() {
    const watchers = async () => (await own.api('/api/v1/state')).watchers;
    await until('the pages before are no listeners', async () => (await watchers()) === 0, 5000);
    const proxy = await cuttable(own.admin);
    const page = await opened(`http://${proxy.address}`);
    assert.ok(proxy.open >= 1);
    assert.equal(await watchers(), 1);
    await page.context().close();
    await until('the page’s connections are closed', () => proxy.open === 0, 5000);
    await until('the gateway has no listener', async () => (await watchers()) === 0, 5000);
    proxy.end();
  },

  async looking_changes_no_generation() {
    const short = await gateway(`
listen: 127.0.0.1:0
upstreams:
  open: { url: "${upstream.url}", breaker: { trip: { consecutive_failures: 1 }, cooldown: 60s } }
  due: { url: "${upstream.url}", breaker: { trip: { consecutive_failures: 1 }, cooldown: { base: 1s, jitter: 0% } } }
  well: { url: "${upstream.url}", breaker: {} }
routes:
  - { path: "/open/{*rest}", upstream: open }
  - { path: "/due/{*rest}", upstream: due }
  - { path: "/well/{*rest}", upstream: well }
`);
    const all = async () => {
      const { breakers } = await short.api('/api/v1/breakers');
      return breakers.map(({ name, generation, attempts, counts, recent }) => ({ name, generation, attempts, counts, recent }));
    };
    upstream.moods.open = upstream.moods.due = 503;
    for (const name of ['open', 'due', 'well']) await short.call(`/${name}/a`);
    const before = await all();
    // Past its cooldown, too, a look is no probe.
    const pages = [await opened(short.url), await opened(short.url, { hash: '#/b/open' }), await opened(short.url, { hash: '#/b/due' })];
    for (const page of pages) page.context().stays = true;
    await wait(LONG ? 60000 : 10000);
    assert.deepEqual(await all(), before);
    for (const page of pages) await page.context().close();
    await short.end();
  },

  async without_a_script_the_table_is_rendered_once() {
    await fail('stock', 1);
    const page = await opened(own.url, { context: { javaScriptEnabled: false }, joined: false });
    assert.equal(await state(page, 'stock').textContent(), 'open');
    assert.match(await page.locator('#verdict').textContent(), /\d+ of \d+ breakers (is|are) open/);
    await reset('stock');
    assert.match(await page.locator('noscript').textContent(), /As it was at/);
    await page.context().close();
  },

  async a_wrong_token_is_refused_and_the_right_one_is_taken() {
    const shut = await gateway(`
listen: 127.0.0.1:0
admin: { token: the-right-token, read_token: the-reading-token }
upstreams: { orders: { url: "${upstream.url}", breaker: {} } }
routes: [{ path: "/{*rest}", upstream: orders }]
`);
    const page = await opened(shut.url, { joined: false });
    await page.getByLabel('Token').fill('a-wrong-token');
    await page.getByRole('button', { name: 'Show the breakers' }).click();
    await page.locator('#refused', { hasText: 'does not take this token' }).waitFor();
    assert.equal(await row(page, 'orders').count(), 0);
    await page.getByLabel('Token').fill('the-right-token');
    await page.keyboard.press('Enter');
    await page.locator('.lamp[data-is=live]').waitFor();
    await row(page, 'orders').locator('a').click();
    await page.getByRole('button', { name: 'Hold open', exact: true }).waitFor();
    assert.ok(!page.url().includes('token'), page.url());
    const kept = await page.evaluate(() => [JSON.stringify(localStorage), document.cookie].join());
    assert.ok(!kept.includes('the-right-token'), kept);
    // Who may only read has no buttons.
    await page.evaluate(() => sessionStorage.setItem('fusebox-token', 'the-reading-token'));
    await page.reload();
    await page.locator('.lamp[data-is=live]').waitFor();
    await page.locator('.rules li').first().waitFor();
    assert.equal(await page.getByRole('button', { name: /Hold|Reset|Release/ }).count(), 0);
    await page.context().close();
    // Without a script and without the token, a sentence says so.
    const plain = await opened(shut.url, { context: { javaScriptEnabled: false }, joined: false });
    assert.equal(await row(plain, 'orders').count(), 0);
    assert.match(await plain.locator('noscript').textContent(), /admin token/);
    await plain.context().close();
    await shut.end();
  },

  async the_fleet_is_shown_as_breaker_by_node() {
    const server = await store();
    const node = (name) => gateway(
      `
listen: 127.0.0.1:0
fleet: { node: ${name} }
upstreams: { orders: { url: "${upstream.url}", breaker: { trip: { consecutive_failures: 1 }, cooldown: 60s, share: verdict } } }
routes: [{ path: "/{*rest}", upstream: orders }]
`,
      ['--store', server.url],
    );
    const nodes = await Promise.all(['n1', 'n2'].map(node));
    for (const one of nodes) await until('the fleet’s store is there', async () => (await one.api('/api/v1/breakers/orders')).fleet?.store === 'reachable');
    upstream.moods.shared = 503;
    await nodes[1].call('/shared/a');
    const page = await opened(nodes[0].url, { hash: '#/b/orders' });
    await page.waitForFunction(() => document.querySelector('tr[data-breaker="orders"] .chip').textContent === 'open');
    await page.locator('.detail .fleet .open.me', { hasText: 'n1' }).waitFor();
    await page.locator('.detail .fleet .open', { hasText: 'n2' }).waitFor();
    await until('the matrix has a row and both nodes', async () => /orders.*open.*open/.test((await page.locator('#fleet tbody').textContent()) ?? ''), 8000);
    // Said to the whole fleet, where there is one.
    await page.getByRole('button', { name: 'Hold closed', exact: true }).click();
    await page.getByLabel('Reason', { exact: true }).fill('a test');
    await page.getByLabel('Scope').selectOption('fleet');
    await page.getByRole('dialog').getByRole('button', { name: 'Hold closed' }).click();
    await until('the other node is held', async () => (await nodes[1].api('/api/v1/breakers/orders')).hold?.kind === 'closed');
    await page.locator('.detail .fleet .held', { hasText: 'n2 held closed' }).waitFor();
    assert.deepEqual(page.complaints, []);
    await page.context().close();
    for (const one of nodes) await one.end();
    server.end();
  },

  async a_thousand_rows_scroll_without_jank() {
    const many = await gateway(`
listen: 127.0.0.1:0
upstreams: { tenants: { url: "${upstream.url}", breaker: { key: "{header.x-tenant}", max_keys: 2000, trip: { consecutive_failures: 5 } } } }
routes: [{ path: "/{*rest}", upstream: tenants }]
`);
    const calls = Array.from({ length: 1000 }, (_, at) => () => many.call('/tenants/a', { 'x-tenant': `tenant-${at}` }));
    await Promise.all(Array.from({ length: 16 }, async () => {
      for (let call = calls.pop(); call; call = calls.pop()) await call();
    }));
    const page = await opened(many.url);
    await until('all rows are there', async () => (await page.locator('tbody tr').count()) === 1000);
    await wait(500);
    // The work of the page's thread in its own processor time, whatever else this machine does.
    const devtools = await page.context().newCDPSession(page);
    await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
    const worked = async () => (await devtools.send('Performance.getMetrics')).metrics.find(({ name }) => name === 'TaskDuration').value * 1000;
    const frames = 120;
    const started = await worked();
    await page.evaluate(async (count) => {
      const height = document.documentElement.scrollHeight - innerHeight;
      for (let step = 1; step <= count; step++) {
        scrollTo(0, (height * step) / count);
        await new Promise(requestAnimationFrame);
      }
    }, frames);
    const each = ((await worked()) - started) / frames;
    note(`1,000 rows: a frame of scrolling is ${each.toFixed(1)} ms of work`);
    assert.ok(each < 50, `${each} ms a frame`);
    const before = await processorTime(many.pid);
    const long = LONG ? 20 : 3;
    await wait(long * 1000);
    const share = ((await processorTime(many.pid)) - before) / long;
    note(`a page open at 1,000 breakers: ${(share * 100).toFixed(1)} % of a core`);
    await page.context().close();
    await many.end();
  },
};

const LOOKING = 'looking_changes_no_generation';
const notes = [];
const note = (text) => notes.push(text);

/** Runs a behaviour and reports how it ended. */
async function run(name, behaviour) {
  const start = performance.now();
  let error = null;
  try {
    await behaviour();
  } catch (thrown) {
    error = thrown.stack ?? String(thrown);
  }
  // What a failure has left open; the page that looks on for long stays.
  if (error && name !== LOOKING) for (const context of browser.contexts()) if (!context.stays) await context.close();
  console.log(JSON.stringify({ name, error, ms: Math.round(performance.now() - start), notes: notes.splice(0) }));
}

const only = process.argv.slice(2);
const chosen = Object.entries(BEHAVIOURS).filter(([name]) => !only.length || only.includes(name));
// One looks on for long, at a gateway of its own, while the others are at work.
const long = chosen.filter(([name]) => name === LOOKING).map(([name, behaviour]) => run(name, behaviour));
if (long.length) await wait(2000);
for (const [name, behaviour] of chosen) {
  if (name !== LOOKING) await run(name, behaviour);
}
await Promise.all(long);
await browser.close();
await own.end();
upstream.end();
process.exit(0);
