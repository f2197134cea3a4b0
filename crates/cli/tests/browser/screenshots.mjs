// Takes the pictures of the docs: the real program in a bad hour, with a service that fails as the script says.

import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

import { gateway, service, wait } from './gateway.mjs';

const [, , folder = 'docs'] = process.argv;
mkdirSync(folder, { recursive: true });

const first = await service();
const second = await service();
const third = await service();
const after = (ms, status) => (request, answer) => setTimeout(() => answer.writeHead(status, { 'cache-control': 'max-age=60' }).end('well\n'), ms * (0.6 + Math.random() * 0.8));
let seen = 0;
const mixed = (ms) => (request, answer) => after(ms, seen++ % 40 ? 200 : 503)(request, answer);

const own = await gateway(`
listen: 127.0.0.1:0
upstreams:
  orders:
    url: ${first.url}
    breaker: { trip: [{ consecutive_failures: 5 }, { failure_rate: 50%, slow_rate: 80%, slower_than: 2s, over: 10s, min_calls: 20 }], cooldown: { base: 40s, jitter: 0% } }
    fallback: [{ last_good: 1h }]
  payments: { url: "${first.url}", breaker: { trip: { consecutive_failures: 5 } } }
  search: { url: "${first.url}", breaker: { trip: { consecutive_failures: 5 }, cooldown: { base: 4s, jitter: 0% }, half_open: { probes: 1, successes: 3, probe_timeout: 60s } }, timeout: { request: 90s } }
  catalog: { url: "${first.url}", breaker: { trip: { consecutive_failures: 5 }, cooldown: { base: 3s, jitter: 0% }, half_open: { probes: 1, successes: 1 }, ramp: { over: 120s, from: 30% } } }
  users:
    endpoints: [{ url: "${first.url}" }, { url: "${second.url}" }, { url: "${third.url}" }]
    breaker: { trip: { failure_rate: 50%, over: 10s, min_calls: 20 } }
    ejection: { consecutive_failures: 3, for: { base: 60s } }
  mail: { url: "${first.url}", breaker: {} }
routes:
${['orders', 'payments', 'search', 'catalog', 'users', 'mail'].map((name) => `  - { path: "/${name}/{*rest}", upstream: ${name} }`).join('\n')}
`);

/** Sends so many calls a second for as long as the pictures need. */
let going = true;
async function traffic(name, perSecond) {
  let at = 0;
  while (going) {
    own.call(`/${name}/${at++ % 7}`).catch(() => {});
    await wait((1000 / perSecond) * (0.7 + Math.random() * 0.6));
  }
}

for (const [name, ms] of [['orders', 14], ['payments', 30], ['search', 34], ['catalog', 12], ['users', 8], ['mail', 22]]) {
  for (const one of [first, second, third]) one.moods[name] = after(ms, 200);
}
for (const [name, rate] of [['orders', 60], ['payments', 4], ['search', 25], ['catalog', 40], ['users', 70], ['mail', 11]]) traffic(name, rate);
await wait(24000);
// The bad hour: catalog fails and comes back, search hangs, payments is held, users lose an endpoint, orders go.
first.moods.catalog = 503;
third.moods.users = 503;
first.moods.users = second.moods.users = mixed(8);
await wait(1500);
first.moods.catalog = after(12, 200);
await own.command('payments', 'open', { for: '25m', reason: 'moving the database', by: 'anna' });
await wait(6000);
first.moods.search = 503;
await wait(2500);
first.moods.search = () => {};
await wait(8000);
first.moods.orders = 503;
await wait(14000);

const executablePath = process.env.FUSEBOX_BROWSER ?? ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'].find(existsSync);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
for (const colorScheme of ['light', 'dark']) {
  for (const [width, height] of [[1280, 1290], [360, 1400]]) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: 'reduce' });
    const page = await context.newPage();
    await page.goto(`${own.url}/#/b/orders`);
    await page.locator('.lamp[data-is=live]').waitFor();
    await page.locator('.fails tbody tr').first().waitFor();
    await wait(2500);
    await page.evaluate(() => scrollTo(0, 0));
    const name = `dashboard-${width > 600 ? '' : 'narrow-'}${colorScheme}.png`;
    await page.screenshot({ path: join(folder, name) });
    await context.close();
  }
}
going = false;
await browser.close();
await own.end();
for (const one of [first, second, third]) one.end();
process.exit(0);
