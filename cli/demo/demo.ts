/**
 * The promise of Grapevine, played in a minute: peers as processes, of which one after the other is killed and started again, while flights are
 * published to whichever runs and read in two ways. What was confirmed and never came is lost.
 *
 * - One reader stays with the first peer, which is never killed, since the page is its.
 * - The other is a durable subscription. When its peer is killed it goes on at another, after what it acknowledged.
 */
import type { Message } from '../../node/index.ts'
import type { Neighbourhood, PeerProcess } from '../../sim/index.ts'
import { flights } from './flights.ts'

export interface DemoCounts {
  peers: number
  kills: number
  confirmed: number
  /** Of those that were confirmed, how many both readers had. */
  delivered: number
  /** Not had by both: on their way while it runs, lost in the end. */
  missing: number
}

interface Flight {
  number: number
  flight: object
}

const topicName = 'flights'
const readerName = 'demo'
/** Flights published at a time, and how often. */
const burst = 50
const burstEveryMs = 200
const downMs = 3_000
/** Confirmed by one other peer within this, or not counted. */
const confirmMs = 20_000

export class Demo {
  readonly #here: Neighbourhood
  readonly #killEveryMs: number
  readonly #running = new Map<string, PeerProcess>()
  readonly #stop: AbortSignal
  readonly #confirmed = new Set<number>()
  readonly #steady = new Set<number>()
  readonly #durable = new Set<number>()
  readonly #restarts = new Set<Promise<unknown>>()
  #kills = 0
  #next = 0
  #isReading = true

  constructor(here: Neighbourhood, killEveryMs: number, stop: AbortSignal) {
    this.#here = here
    this.#killEveryMs = killEveryMs
    this.#stop = stop
  }

  get counts(): DemoCounts {
    let delivered = 0
    for (const number of this.#confirmed) if (this.#steady.has(number) && this.#durable.has(number)) delivered++
    const confirmed = this.#confirmed.size
    return { peers: this.#running.size, kills: this.#kills, confirmed, delivered, missing: confirmed - delivered }
  }

  async start(name: string): Promise<PeerProcess> {
    // Not of our terminal's: Ctrl-C is for us, and ends them in order.
    const peer = await this.#here.up(name, [], { detached: true })
    this.#running.set(name, peer)
    return peer
  }

  /** Publishes, reads and kills until it is to stop; resolves when what was published is confirmed or has failed. */
  async play(first: PeerProcess): Promise<void> {
    // What it did not have in the end is lost, whatever the reason.
    this.#readSteadily(first).catch(() => undefined)
    void this.#readDurably()
    await Promise.all([this.#publish(), this.#killInTurn(first.name)])
  }

  /** Waits until everything has come, at most so long. */
  async settle(ms: number): Promise<void> {
    // None may start when all are ended.
    await Promise.all(this.#restarts)
    const end = Date.now() + ms
    while (this.counts.missing > 0 && Date.now() < end) await sleep(100)
    this.#isReading = false
  }

  async #publish(): Promise<void> {
    const source = flights()
    const sending = new Set<Promise<void>>()
    while (!this.#stop.aborted) {
      const peer = this.#anyone()
      for (let i = 0; i < burst; i++) {
        const { value: flight } = await source.next()
        const one = this.#send(peer, { number: this.#next++, flight })
        sending.add(one)
        void one.finally(() => sending.delete(one))
      }
      await sleep(burstEveryMs)
    }
    await Promise.all(sending)
  }

  async #send({ client }: PeerProcess, flight: Flight): Promise<void> {
    try {
      await client.topic<Flight>(topicName).publish(flight, { confirm: 1, timeoutMs: confirmMs })
      this.#confirmed.add(flight.number)
    } catch {
      // Its peer was killed before it could say so: it may come or not, and nobody was promised anything.
    }
  }

  async #readSteadily({ client }: PeerProcess): Promise<void> {
    for await (const { value } of client.topic<Flight>(topicName).subscribe({ from: 'earliest' }))
      this.#steady.add(value.number)
  }

  async #readDurably(): Promise<void> {
    while (this.#isReading) {
      try {
        const topic = this.#anyone().client.topic<Flight>(topicName)
        for await (const record of topic.subscribe({ name: readerName, from: 'earliest' })) this.#take(record)
      } catch {
        // Its peer was killed.
      }
      await sleep(100)
    }
  }

  #take(record: Message<Flight>): void {
    this.#durable.add(record.value.number)
    // Where it does not get through, the record comes again.
    record.ack().catch(() => undefined)
  }

  async #killInTurn(spared: string): Promise<void> {
    while (!this.#stop.aborted) {
      await sleep(this.#killEveryMs, this.#stop)
      const victims = [...this.#running.values()].filter(({ name }) => name !== spared)
      const victim = victims[Math.floor(Math.random() * victims.length)]
      if (victim === undefined || this.#stop.aborted) continue
      this.#running.delete(victim.name)
      await victim.kill()
      this.#kills++
      const restart = sleep(downMs)
        .then(() => this.start(victim.name))
        .catch(() => undefined)
      this.#restarts.add(restart)
      void restart.finally(() => this.#restarts.delete(restart))
    }
  }

  #anyone(): PeerProcess {
    const peers = [...this.#running.values()]
    return peers[Math.floor(Math.random() * peers.length)] as PeerProcess
  }
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true },
    )
  })
}
