/**
 * What a peer tells Prometheus. It follows that project's conventions: base units, units in names, `_total` for what only grows.
 *
 * What happens is counted as it does, a batch at a time; all else is asked of the peer when somebody looks. The figures of the process itself
 * (`process_…`, `nodejs_…`) are collected from the first look on. Of topics, at most `limits.metricsTopicsMax` are told, those that take most.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { limits } from '../limits.ts'
import type { Disk, DiskFile, Meter, Snapshot } from '../ports.ts'
import type { PeerEvent, TopicStatus } from '../types.ts'

/** Seconds: from a write to a fast disk to the longest anybody waits. */
const buckets = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export class Metrics implements Meter {
  readonly #registry = new Registry()
  readonly #confirm: Histogram
  readonly #arrival: Histogram
  readonly #write: Histogram
  readonly #events: Counter
  #told: ((snapshot: Snapshot) => void) | undefined

  constructor() {
    const registers = [this.#registry]
    this.#confirm = new Histogram({
      name: 'grapevine_publish_confirm_seconds',
      help: 'From when a batch was on our disk until as many others had it as its publishes asked for',
      buckets,
      registers,
    })
    this.#arrival = new Histogram({
      name: 'grapevine_arrival_delay_seconds',
      help: 'From when another peer sealed a batch, by its clock, until it was on our disk, by ours',
      buckets,
      registers,
    })
    this.#write = new Histogram({
      name: 'grapevine_disk_write_seconds',
      help: 'How long a write took until it survives a power cut',
      buckets,
      registers,
    })
    this.#events = new Counter({
      name: 'grapevine_events_total',
      help: 'What happened, as `grapevine up` tells it',
      labelNames: ['type'],
      registers,
    })
  }

  confirming(): () => void {
    return this.#confirm.startTimer()
  }

  arrived(ms: number): void {
    this.#arrival.observe(Math.max(0, ms) / 1000)
  }

  happened(type: PeerEvent['type']): void {
    this.#events.inc({ type })
  }

  /** The disk, with its writes measured. */
  measured(disk: Disk): Disk {
    return { ...disk, open: async (path, options) => this.#measuredFile(await disk.open(path, options)) }
  }

  expose(snapshot: Snapshot): Promise<string> {
    this.#told ??= this.#describe()
    this.#told(snapshot)
    return this.#registry.metrics()
  }

  #measuredFile(file: DiskFile): DiskFile {
    return {
      size: () => file.size(),
      read: (into, position) => file.read(into, position),
      truncate: (size) => file.truncate(size),
      sync: () => file.sync(),
      close: () => file.close(),
      write: async (pieces, position) => {
        const end = this.#write.startTimer()
        await file.write(pieces, position)
        end()
      },
    }
  }

  /** What is asked of the peer; returns what takes its answers. */
  #describe(): (snapshot: Snapshot) => void {
    const register = this.#registry
    collectDefaultMetrics({ register })
    // Gauges that are named as counters are, of what comes and goes.
    for (const { name } of register.getMetricsAsArray())
      if (name.startsWith('nodejs_active_')) register.removeSingleMetric(name)
    const registers = [register]
    const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
      new Gauge({ name: `grapevine_${name}`, help, labelNames, registers })
    const counter = <L extends string>(name: string, help: string, ...labelNames: L[]) =>
      new Counter({ name: `grapevine_${name}`, help, labelNames, registers })

    const info = gauge('info', 'Which peer this is', 'id', 'version', 'mesh')
    const peersKnown = gauge('peers_known', 'Live peers that are known, but for this one')
    const friends = gauge('friends', 'Peers it is connected to')
    const roundTrip = gauge('friend_round_trip_seconds', 'To each friend and back', 'friend')
    const topics = gauge('topics', 'Topics of which something is held here')
    const stored = gauge('stored_bytes', 'On disk, or in memory where there is none')
    const sent = counter('network_sent_bytes_total', 'To other peers')
    const received = counter('network_received_bytes_total', 'From other peers')
    const ofTopic = {
      records: gauge('topic_records', 'Held of a topic', 'topic'),
      batches: gauge('topic_batches', 'Held of a topic', 'topic'),
      bytes: gauge('topic_bytes', 'Held of a topic', 'topic'),
      carriers: gauge('topic_carriers', 'Live peers that carry a topic, this one included', 'topic'),
    }
    const appended = counter('topic_appended_records_total', 'That ever came to this peer of a topic', 'topic')
    const lag = gauge('group_lag_records', 'Not done, of a group this peer takes part in', 'topic', 'group')
    const members = gauge('group_members', 'Of a group this peer takes part in', 'topic', 'group')
    const slots = gauge('group_slots_held', 'By this peer', 'topic', 'group')
    const queue = gauge('queue_records', 'Of a queue that is used here', 'queue', 'state')

    return (snapshot) => {
      const { status } = snapshot
      info.set({ id: status.id, version: status.version, mesh: status.mesh }, 1)
      peersKnown.set(status.peersKnown)
      friends.set(status.friends)
      topics.set(status.topics)
      stored.set(status.bytes.stored)
      setTotal(sent, {}, status.bytes.sent)
      setTotal(received, {}, status.bytes.received)
      for (const each of [roundTrip, ...Object.values(ofTopic), appended, lag, members, slots, queue]) each.reset()
      for (const { id, rttMs } of snapshot.friends) if (rttMs !== undefined) roundTrip.set({ friend: id }, rttMs / 1000)
      for (const each of largest(snapshot.topics)) {
        const of = { topic: each.name }
        for (const [name, metric] of Object.entries(ofTopic)) metric.set(of, each[name as keyof typeof ofTopic])
        setTotal(appended, of, each.endOffset)
      }
      for (const each of snapshot.groups) {
        const of = { topic: each.topic, group: each.name }
        lag.set(of, each.lag)
        members.set(of, each.members.length)
        slots.set(of, each.members.find(({ peer }) => peer === status.id)?.slots ?? 0)
      }
      for (const { name, ready, inFlight, delayed } of snapshot.queues) {
        queue.set({ queue: name, state: 'ready' }, ready)
        queue.set({ queue: name, state: 'in_flight' }, inFlight)
        queue.set({ queue: name, state: 'delayed' }, delayed)
      }
    }
  }
}

/** The library lets a counter only be counted up. */
function setTotal<L extends string>(counter: Counter<L>, labels: Partial<Record<L, string>>, total: number): void {
  counter.remove(labels)
  counter.inc(labels, total)
}

function largest(topics: readonly TopicStatus[]): TopicStatus[] {
  const held = topics.filter(({ held }) => held !== 'none')
  return held.sort((a, b) => b.bytes - a.bytes).slice(0, limits.metricsTopicsMax)
}
