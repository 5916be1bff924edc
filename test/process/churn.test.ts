/**
 * Ten peers of which one after the other is killed and restarted while two are published through: what was confirmed is
 * there for everybody afterwards, once and in order. Any of the ten may be killed, those published through too; a publisher
 * that loses its peer waits for it to come back and counts only what was confirmed. GRAPEVINE_SOAK=1 runs all of the 60 s,
 * GRAPEVINE_SEED=… draws the same peers again. After a failure the logs of all peers are kept.
 */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { isError, type Message, type Receipt } from '../../node/index.ts'
import { Neighbourhood, type PeerProcess } from '../helper/process.ts'
import { random } from '../helper/random.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'

const test = suite('process')
const churnMs = process.env.GRAPEVINE_SOAK ? 60_000 : 20_000
const killEveryMs = 2_000
const peerCount = 10
const perSecond = 200
const burstMs = 50
const readMs = 60_000
const topic = 'churned'

class Churn {
  readonly #here: Neighbourhood
  readonly #running = new Map<string, PeerProcess>()
  /** Every process there was, for the logs. */
  readonly runs: PeerProcess[] = []
  readonly #restarts = new Set<Promise<unknown>>()
  readonly #failures: unknown[] = []
  kills = 0

  constructor(here: Neighbourhood) {
    this.#here = here
  }

  peer(name: string): PeerProcess | undefined {
    return this.#running.get(name)
  }

  all(): PeerProcess[] {
    return [...this.#running.values()]
  }

  async start(name: string): Promise<PeerProcess> {
    const peer = await this.#here.up(name, ['--log', 'info'])
    this.runs.push(peer)
    this.#running.set(name, peer)
    return peer
  }

  /** Kills one of those that run; it is started again at once. */
  strike(draw: () => number): void {
    const victim = this.all()[Math.floor(draw() * this.#running.size)]
    if (!victim) return
    this.kills++
    this.#running.delete(victim.name)
    const restart = victim
      .kill()
      .then(() => this.start(victim.name))
      .catch((error) => this.#failures.push(error))
      .finally(() => this.#restarts.delete(restart))
    this.#restarts.add(restart)
  }

  async settle(): Promise<void> {
    await Promise.all(this.#restarts)
    if (this.#failures.length > 0) throw new AggregateError(this.#failures, `did not start again: ${this.#failures}`)
  }
}

interface Confirmed extends Receipt {
  value: string
}

class Publisher {
  readonly confirmed: Confirmed[] = []
  /** Why records were not confirmed, and how many each. */
  readonly unconfirmed = new Map<string, number>()
  readonly #name: string
  readonly #churn: Churn
  readonly #waiting = new Set<Promise<void>>()
  /** How long the confirmed ones took. */
  readonly tookMs: number[] = []
  sent = 0

  constructor(name: string, churn: Churn) {
    this.#name = name
    this.#churn = churn
  }

  /** Publishes at its rate until the end, through whatever process its peer is at the time. */
  async run(end: number): Promise<void> {
    while (performance.now() < end) {
      const peer = this.#churn.peer(this.#name)
      if (peer) await this.#runOn(peer, end)
      else await sleep(20)
    }
    await Promise.all(this.#waiting)
  }

  async #runOn(peer: PeerProcess, end: number): Promise<void> {
    const stream = peer.client.topic<string>(topic, { codec: 'text' })
    for (let due = performance.now(); performance.now() < end; due += burstMs) {
      if (this.#churn.peer(this.#name) !== peer) return
      for (let i = 0; i < (perSecond * burstMs) / 1000; i++) {
        const value = `${this.#name}-${this.sent++}`
        const begun = performance.now()
        const published = stream
          .publish(value, { confirm: 2 })
          .then((receipt) => {
            this.confirmed.push({ ...receipt, value })
            this.tookMs.push(performance.now() - begun)
          })
          .catch((error) => {
            const reason = isError(error) ? error.code : String(error)
            this.unconfirmed.set(reason, (this.unconfirmed.get(reason) ?? 0) + 1)
          })
          .finally(() => this.#waiting.delete(published))
        this.#waiting.add(published)
      }
      await sleep(Math.max(0, due + burstMs - performance.now()))
    }
  }
}

const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0)

function account(churn: Churn, publishers: readonly Publisher[]): string {
  const took = publishers.flatMap(({ tookMs }) => tookMs).sort((a, b) => a - b)
  const part = (of: number) => `${Math.round(took[Math.floor(took.length * of)] ?? 0)} ms`
  const others = JSON.stringify(publishers.map(({ unconfirmed }) => Object.fromEntries(unconfirmed)))
  const sent = sum(publishers.map((publisher) => publisher.sent))
  return (
    `${churn.kills} kills; ${sent} published, ${took.length} confirmed within ` +
    `${part(0.5)} (half), ${part(0.99)} (99 %), ${part(0.9999)} (all but 1 in 10,000); others ${others}`
  )
}

type Seen = Pick<Message<string>, 'id' | 'feed' | 'index' | 'value'>

/** What is wrong with what a subscriber has read so far, in words; empty when it is all there. */
function faults(confirmed: readonly Confirmed[], seen: readonly Seen[]): string[] {
  const wrong: string[] = []
  const values = new Map<string, string>()
  const next = new Map<string, number>()
  for (const { id, feed, index, value } of seen) {
    if (values.has(id)) wrong.push(`${id} came twice`)
    else if (index !== (next.get(feed) ?? 0)) wrong.push(`${id} came where ${next.get(feed) ?? 0} was due`)
    next.set(feed, index + 1)
    values.set(id, value)
  }
  for (const { feed, index, seq, value, copies } of confirmed) {
    const found = values.get(`${feed}/${index}`)
    if (found === undefined) wrong.push(`${feed}/${index} (batch ${seq}, ${value}, ${copies} copies) is missing`)
    else if (found !== value) wrong.push(`${feed}/${index} is ${found}, not ${value}`)
  }
  return wrong
}

/** Reads everything on a peer for as long as something is missing, and a second longer. */
async function read(peer: PeerProcess, confirmed: readonly Confirmed[], ms: number): Promise<Seen[]> {
  const seen: Seen[] = []
  const ids = new Set<string>()
  const running = peer.start(['sub', topic, '--from', 'earliest', '--json'], (line) => {
    const record: Omit<Seen, 'id'> = JSON.parse(line)
    const id = `${record.feed}/${record.index}`
    ids.add(id)
    seen.push({ ...record, id })
  })
  const complete = () => confirmed.every(({ feed, index }) => ids.has(`${feed}/${index}`))
  await until(complete, ms).catch(() => {})
  await sleep(1_000)
  await running.kill()
  return seen
}

async function explain(churn: Churn, confirmed: readonly Confirmed[], wrong: string[]): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'grapevine-churn-'))
  const stored: string[] = []
  for (const peer of churn.all()) {
    const held = new Set((await read(peer, [], 0).catch(() => [])).map(({ id }) => id))
    const missing = confirmed.filter(({ feed, index }) => !held.has(`${feed}/${index}`))
    const feeds = Map.groupBy(missing, ({ feed }) => feed)
    const words = [...feeds].map(([feed, of]) => `${feed} ${of[0]?.index}–${of.at(-1)?.index} (${of.length})`)
    stored.push(
      `  peer ${peer.name} holds ${held.size} records and lacks of the confirmed: ${words.join(', ') || 'none'}`,
    )
  }
  for (const [at, peer] of churn.runs.entries()) {
    const events = peer.events.map((event) => JSON.stringify(event)).join('\n')
    writeFileSync(join(folder, `${peer.name}-${at}.log`), `${events}\n\n${peer.errors()}`)
  }
  return [...wrong.slice(0, 20), `${wrong.length} in all`, ...stored, `logs of all peers: ${folder}`].join('\n')
}

test(
  'no confirmed record is lost or doubled while peers are killed and restarted',
  async (tools) => {
    const seed = Number(process.env.GRAPEVINE_SEED ?? Math.floor(Math.random() * 2 ** 32))
    process.stdout.write(`GRAPEVINE_SEED=${seed}\n`)
    const draw = random(seed)
    const churn = new Churn(new Neighbourhood(tools))
    const names = Array.from({ length: peerCount }, (_, i) => `peer-${i}`)
    // Two at a time: ten at once on few cores take longer together.
    for (let at = 0; at < names.length; at += 2) {
      await Promise.all(names.slice(at, at + 2).map((name) => churn.start(name)))
    }

    const end = performance.now() + churnMs
    const publishers = names.slice(0, 2).map((name) => new Publisher(name, churn))
    const publishing = Promise.all(publishers.map((publisher) => publisher.run(end)))
    while (performance.now() + killEveryMs < end) {
      await sleep(killEveryMs)
      churn.strike(draw)
    }
    await publishing
    await churn.settle()

    const confirmed = publishers.flatMap((publisher) => publisher.confirmed)
    const told = account(churn, publishers)
    process.stdout.write(`${told}\n`)
    // Nobody publishes through a peer that is down, and what was on its way there is lost: most gets through all the same.
    assert.ok(confirmed.length > sum(publishers.map(({ sent }) => sent)) / 2, told)

    const begun = performance.now()
    for (const name of ['fresh-0', 'fresh-1', 'fresh-2']) await churn.start(name)
    const fresh = churn.all().filter(({ name }) => name.startsWith('fresh'))
    const readings = await Promise.all(fresh.map((peer) => read(peer, confirmed, readMs)))
    process.stdout.write(`read by ${fresh.length} in ${((performance.now() - begun) / 1000).toFixed(1)} s\n`)
    for (const [at, seen] of readings.entries()) {
      const wrong = faults(confirmed, seen)
      if (wrong.length > 0) throw new Error(`fresh-${at}: ${await explain(churn, confirmed, wrong)}`)
    }
  },
  { deadlineMs: churnMs + 200_000 },
)

test.run()
