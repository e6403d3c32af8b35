// See LICENSE for copyright and license details.
//
// What a browser sees of programs behind routes: pages with images, fetch() by
// GET and POST, clicks from one program to the other, an excluded path, a
// WebSocket and events.  Every answer names the program that gave it.
//
//	browser.js URL ROUNDS [path of a WebSocket echo, path of events]
//	browser.js -k URL	one program; prints how many answers it gave
'use strict';
const { chromium } = require('playwright-core');

let answers = 0, wrong = [];
const perProgram = {};

function check(response) {
  const path = new URL(response.url()).pathname;
  const want = path.split('/')[1], excluded = path.includes('/admin/');
  const by = response.headers()['x-program'];
  answers++;
  perProgram[want] = (perProgram[want] || 0) + 1;
  if (excluded ? by !== undefined || response.status() !== 404
    : by !== want || response.status() !== 200) {
    wrong.push(`${path}: ${response.status()} by ${by}`);
  }
}

// In the page: requests to both, at the same time.
async function fetches(names) {
  const all = [];
  for (let i = 0; i < 40; i++) {
    const name = names[i % names.length];
    const post = i % 4 > 1;
    const body = 'x'.repeat(i * 1500);
    all.push(fetch(`/${name}/f${i}`, post ? { method: 'POST', body } : {})
      .then((r) => r.text())
      .then((text) => text === `${name} ${post ? body.length : 0}`));
    if (i % 10 === 0) {
      all.push(fetch(`/${names[0]}/admin/${i}`)
        .then((r) => r.status === 404));
    }
  }
  return (await Promise.all(all)).every((ok) => ok);
}

async function echo(path) {
  const ws = new WebSocket(`ws://${location.host}${path}`);
  const text = 'y'.repeat(200000);
  await new Promise((done, fail) => { ws.onopen = done; ws.onerror = fail; });
  for (let i = 0; i < 3; i++) {
    const answer = new Promise((done) => { ws.onmessage = done; });
    ws.send(text);
    if ((await answer).data !== text) return false;
  }
  ws.close();
  return true;
}

async function events(path) {
  const source = new EventSource(path), got = [];
  await new Promise((done, fail) => {
    source.onmessage = (e) => { if (got.push(e.data) === 3) done(); };
    source.onerror = fail;
  });
  source.close();
  return got.join() === '0,1,2';
}

async function must(promise, what) {
  if (!await promise) throw new Error(what);
}

async function main() {
  const keep = process.argv[2] === '-k';
  const args = process.argv.slice(keep ? 3 : 2);
  const url = args[0], rounds = keep ? 1 : Number(args[1]);
  const names = keep ? ['one'] : ['one', 'two'];
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium', timeout: 0,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic',
      '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'] });
  try {
    for (let round = 0; round < rounds; round++) {
      const page = await (await browser.newContext()).newPage();
      page.setDefaultTimeout(0);
      page.on('response', check);
      page.on('requestfailed', (r) => {
        // A stream of events is ended by the page.
        if (r.failure().errorText !== 'net::ERR_ABORTED') {
          wrong.push(`${r.url()}: ${r.failure().errorText}`);
        }
      });
      await page.goto(`${url}/one/page`, { waitUntil: 'load' });
      if (!keep) {
        await must(page.evaluate(fetches, names), 'fetch');
        await page.click('#other');
        await page.waitForURL('**/two/page', { waitUntil: 'load' });
        await must(page.evaluate(fetches, names), 'fetch');
        await page.click('#other');
        await page.waitForURL('**/one/page', { waitUntil: 'load' });
      } else {
        for (let i = 0; i < 20; i++) {
          await must(page.evaluate(() => fetch('/one/f')
            .then((r) => r.text()).then((t) => t === 'one 0')), 'fetch');
        }
      }
      if (args[2]) await must(page.evaluate(echo, args[2]), 'WebSocket');
      if (args[3]) await must(page.evaluate(events, args[3]), 'events');
      await page.context().close();
    }
  } finally {
    await browser.close();
  }
  if (wrong.length > 0) {
    console.log(`${wrong.length} of ${answers} wrong:\n` +
      wrong.slice(0, 20).join('\n'));
    process.exit(1);
  }
  console.log(keep ? answers
    : names.map((n) => `0 of ${perProgram[n]}`).join(', '));
  if (!keep && names.some((n) => perProgram[n] < 300)) process.exit(1);
}

main().catch((error) => { console.error(error); process.exit(1); });
