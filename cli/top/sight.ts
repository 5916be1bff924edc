/** What `grapevine top` shows: one look at the peer and its mesh, and the tables made of it and of the look before. */
import type { GroupSummary, MeshPeer, Peer, PeerStatus, QueueSummary, TopicStatus } from '../../node/index.ts'
import { agoText, byteText } from '../output.ts'

export interface Sight {
  /** When it was taken, ms. */
  at: number
  status: PeerStatus
  mesh: MeshPeer[]
  topics: TopicStatus[]
  groups: GroupSummary[]
  queues: QueueSummary[]
}

/** A table: rows may be ordered by any of its columns. */
export interface View {
  name: string
  heads: string[]
  rows: Cell[][]
  /** The column that it is ordered by at first, the largest in front. */
  sort: number
}

/** What is shown, and what it is ordered by. */
export interface Cell {
  text: string
  value: number | string
}

export async function look(peer: Peer, timeoutMs: number): Promise<Sight> {
  const [status, mesh, topics, groups, queues] = await Promise.all([
    peer.status(),
    peer.mesh({ timeoutMs }),
    peer.topics(),
    peer.groups(),
    peer.queues(),
  ])
  return { at: Date.now(), status, mesh, topics, groups, queues }
}

export function viewsOf(now: Sight, before: Sight | undefined): View[] {
  return [peersView(now, before), topicsView(now, before), groupsView(now), queuesView(now)]
}

/** A new list: those with the largest first, or the smallest. */
export function ordered({ rows }: View, column: number, isReversed: boolean): Cell[][] {
  const compare = (a: Cell[], b: Cell[]) => {
    const [x, y] = [a[column]?.value ?? 0, b[column]?.value ?? 0]
    return typeof x === 'number' && typeof y === 'number' ? y - x : String(x).localeCompare(String(y))
  }
  return rows.toSorted((a, b) => (isReversed ? compare(b, a) : compare(a, b)))
}

function peersView(now: Sight, before: Sight | undefined): View {
  const earlier = new Map(before?.mesh.map((peer) => [peer.id, peer]))
  const rows = now.mesh.map((peer) => {
    const was = earlier.get(peer.id)
    const perSecond = (of: (peer: MeshPeer) => number) => rateOf(of(peer), was && of(was), now, before)
    const far = peer.friends.flatMap(({ rttMs }) => rttMs ?? [])
    return [
      text(peer.id.slice(-6) + (peer.id === now.status.id ? ' *' : '')),
      text(peer.role),
      { text: agoText(peer.since, now.at), value: now.at - peer.since },
      whole(peer.friends.length),
      { text: far.length === 0 ? '-' : `${mean(far).toFixed(1)} ms`, value: far.length === 0 ? 0 : mean(far) },
      whole(peer.topicCount),
      bytes(peer.bytes.stored),
      speed(perSecond(({ bytes: { sent } }) => sent)),
      speed(perSecond(({ bytes: { received } }) => received)),
    ]
  })
  return {
    name: 'peers',
    heads: ['PEER', 'ROLE', 'UP', 'FRIENDS', 'RTT', 'TOPICS', 'STORED', 'SENT', 'RECEIVED'],
    rows,
    sort: 6,
  }
}

function topicsView(now: Sight, before: Sight | undefined): View {
  const earlier = new Map(before?.topics.map((topic) => [topic.name, topic]))
  const rows = now.topics.map((topic) => {
    const rate = rateOf(topic.endOffset, earlier.get(topic.name)?.endOffset, now, before)
    return [
      text(topic.name),
      text(topic.held),
      { text: `${rate.toFixed(rate < 10 ? 1 : 0)}/s`, value: rate },
      whole(topic.records),
      bytes(topic.bytes),
      whole(topic.carriers),
    ]
  })
  return { name: 'topics', heads: ['TOPIC', 'HELD', 'RATE', 'RECORDS', 'SIZE', 'CARRIERS'], rows, sort: 2 }
}

function groupsView(now: Sight): View {
  const rows = now.groups.map(({ topic, name, settings, members, slots, lag, inFlight, redelivered }) => {
    const held = members.reduce((sum, member) => sum + member.slots, 0)
    return [
      text(name),
      text(topic),
      text(settings.type),
      whole(members.length),
      { text: `${held} of ${slots}`, value: held },
      known(lag),
      whole(inFlight),
      whole(redelivered),
    ]
  })
  const heads = ['GROUP', 'TOPIC', 'TYPE', 'MEMBERS', 'SLOTS', 'LAG', 'IN FLIGHT', 'REDELIVERED']
  return { name: 'groups', heads, rows, sort: 5 }
}

function queuesView(now: Sight): View {
  const rows = now.queues.map(({ name, ready, inFlight, delayed, dead }) => [
    text(name),
    known(ready),
    whole(inFlight),
    whole(delayed),
    known(dead),
  ])
  return { name: 'queues', heads: ['QUEUE', 'READY', 'IN FLIGHT', 'DELAYED', 'DEAD'], rows, sort: 1 }
}

/** A second, between two looks. */
function rateOf(value: number, was: number | undefined, now: Sight, before: Sight | undefined): number {
  if (was === undefined || before === undefined || now.at <= before.at) return 0
  return (Math.max(0, value - was) * 1_000) / (now.at - before.at)
}

const text = (value: string): Cell => ({ text: value, value })
const whole = (value: number): Cell => ({ text: String(value), value })
/** What is not carried here cannot be counted here. */
const known = (value: number | undefined): Cell => ({
  text: value === undefined ? '-' : String(value),
  value: value ?? -1,
})
const bytes = (value: number): Cell => ({ text: byteText(value), value })
const speed = (value: number): Cell => ({ text: `${byteText(Math.round(value))}/s`, value })
const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
