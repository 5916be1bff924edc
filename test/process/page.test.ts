/** The page as somebody sees it who looks at a real mesh with a browser. */
import { existsSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import axe from 'axe-core'
import { type Browser, chromium, type Page } from 'playwright-core'
import * as assert from 'uvu/assert'
import { pageFiles } from '../../node/gateway/assets.ts'
import { Neighbourhood, ok, type PeerProcess } from '../helper/process.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('process')

const executablePath = '/usr/bin/chromium'
const slow = { deadlineMs: 240_000 }
const views = ['mesh', 'topics', 'groups', 'queues', 'events', 'settings']

test(
  'the page is small',
  async () => {
    let bytes = 0
    for (const file of (await pageFiles()).values()) bytes += gzipSync(file).length
    assert.ok(bytes < 300 * 1024, `${bytes} bytes compressed`)
  },
  slow,
)

/** Errors of the page end up in `wrong`. */
async function visit(browser: Browser, peer: PeerProcess, wrong: string[], options: object = {}): Promise<Page> {
  const page = await (await browser.newContext(options)).newPage()
  page.on('console', (message) => {
    if (message.type() === 'error') wrong.push(message.text())
  })
  page.on('pageerror', (error) => wrong.push(error.message))
  const [ready] = peer.events as unknown as [{ page: string }]
  await page.goto(ready.page)
  return page
}

async function told(page: Page, name: string): Promise<number> {
  return Number(await page.getByTestId(name).textContent())
}

/** What keeps people out. */
async function barriers(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: typeof axe }).axe.run())
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)
}

const shown = 'the page shows a mesh of eight processes as it is, and what is done on it is done'
if (!existsSync(executablePath)) test.skip(shown, 'chromium is not installed')
else
  test(
    shown,
    async ({ use, ...tools }) => {
      const here = new Neighbourhood({ use, ...tools })
      const names = Array.from({ length: 8 }, (_, i) => `peer-${i}`)
      const peers = await Promise.all(names.map((name) => here.up(name)))
      const [first, last] = [peers[0], peers[7]] as [PeerProcess, PeerProcess]
      await until(
        async () => (await Promise.all(peers.map((peer) => peer.client.friends()))).every((all) => all.length === 7),
        60_000,
      )
      const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
      use(browser)
      const wrong: string[] = []
      const page = await visit(browser, first, wrong, { colorScheme: 'light' })
      await until(
        async () => (await told(page, 'peers')) === 8 && (await told(page, 'friendships')) === 28,
        3_000,
        'all is shown',
      )

      await last.kill()
      await until(async () => (await told(page, 'peers')) === 7, 10_000, 'who was killed has gone')
      await here.up('peer-7')
      await until(async () => (await told(page, 'peers')) === 8, 20_000, 'who came back is there')

      const reading = first.start(['sub', 'orders', '--from', 'earliest', '--count', '1'])
      await page.getByRole('link', { name: 'topics', exact: true }).click()
      await page.getByLabel('Topic').fill('orders')
      await page.getByLabel('Value').fill('{"from":"the page"}')
      await page.getByRole('button', { name: 'Publish' }).click()
      await page.getByRole('heading', { name: 'orders' }).waitFor()
      const { stdout } = await ok(reading.ended)
      assert.is(stdout.toString(), '{"from":"the page"}\n')
      await page.getByRole('button', { name: 'Newest' }).click()
      await page.getByRole('cell', { name: '{"from":"the page"}' }).waitFor()

      await ok(first.run(['queue', 'stats', 'jobs', '--max-receives', '1']))
      await ok(first.run(['queue', 'send', 'jobs', 'again, please']))
      const received = await ok(first.run(['queue', 'receive', 'jobs', '--wait', '20s', '--json']))
      await ok(first.run(['queue', 'ack', 'jobs', JSON.parse(received.stdout.toString()).receipt, '--nack']))
      // Who has been received too often is dead when it would be received again.
      assert.is((await first.run(['queue', 'receive', 'jobs'])).stdout.toString(), '')
      await page.getByRole('link', { name: 'queues', exact: true }).click()
      await page.getByRole('button', { name: 'Redrive jobs' }).first().click({ timeout: 30_000 })
      const again = await ok(first.run(['queue', 'receive', 'jobs', '--wait', '20s', '--ack']))
      assert.is(again.stdout.toString(), 'again, please\n')

      for (const theme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme: theme })
        for (const view of views) {
          await page.getByRole('link', { name: view, exact: true }).click()
          await page.getByRole('heading', { level: 1, name: view }).waitFor()
          assert.equal(await barriers(page), [], `${view}, ${theme}`)
        }
      }
      assert.equal(wrong, [])

      // The link was used: it lets in nobody else.
      const stranger = await visit(browser, first, [])
      await stranger.getByText('the link was used already').waitFor()
    },
    slow,
  )

test.run()
