/** What the page knows of the peer and its mesh, asked again and again while somebody looks. */
import { signal } from '@preact/signals'
import type { GroupSummary, MeshPeer, PeerEvent, PeerStatus, QueueSummary, TopicStatus } from '../../types.ts'
import { ApiError, get, socket } from './api.ts'

/** A peer that was seen, and how many times in a row it has not answered. */
export interface SeenPeer extends MeshPeer {
  missed: number
}

export interface TopicRow extends TopicStatus {
  /** Records a second that came here, since the page last asked. */
  rate: number
}

export const status = signal<PeerStatus | undefined>(undefined)
export const mesh = signal<SeenPeer[]>([])
export const topics = signal<TopicRow[]>([])
export const groups = signal<GroupSummary[]>([])
export const queues = signal<QueueSummary[]>([])
/** The newest first, numbered as they came. */
export const events = signal<{ number: number; event: PeerEvent }[]>([])
/** Why nothing can be shown. */
export const trouble = signal<ApiError | undefined>(undefined)
export const view = signal(viewNow())

const eventsMax = 500
export const meshEveryMs = 2_000
/** Who has not answered so many times is gone. */
const missedMax = 2

function viewNow(): string {
  return /^#\/([a-z]+)/.exec(location.hash)?.[1] ?? 'mesh'
}

/** The rest of the address, as in `#/topics/orders`. */
export function placeNow(): string | undefined {
  const place = /^#\/[a-z]+\/(.+)$/.exec(location.hash)?.[1]
  return place === undefined ? undefined : decodeURIComponent(place)
}

/** Asks again each `everyMs` while the page is looked at, and the view is one of these. */
function keepAsking(act: () => Promise<void>, everyMs: number, views?: readonly string[]): void {
  let isAsking = false
  const turn = async () => {
    if (isAsking || document.hidden || (views !== undefined && !views.includes(view.value))) return
    isAsking = true
    try {
      await act()
      trouble.value = undefined
    } catch (error) {
      trouble.value =
        error instanceof ApiError ? error : new ApiError(0, { code: 'ApiFailed', message: String(error), data: {} })
    } finally {
      isAsking = false
    }
  }
  void turn()
  setInterval(turn, everyMs)
  addEventListener('hashchange', () => queueMicrotask(turn))
}

export function begin(): void {
  addEventListener('hashchange', () => {
    view.value = viewNow()
  })
  keepAsking(async () => {
    status.value = await get('/v1/status')
  }, 2_000)
  // All peers answer that: it is what looking costs a mesh.
  keepAsking(askMesh, meshEveryMs, ['mesh', 'topics'])
  keepAsking(askTopics, 2_000, ['mesh', 'topics'])
  keepAsking(
    async () => {
      groups.value = await get('/v1/groups')
    },
    2_000,
    ['groups'],
  )
  keepAsking(
    async () => {
      queues.value = await get('/v1/queues')
    },
    2_000,
    ['queues'],
  )
  listen()
}

async function askMesh(): Promise<void> {
  const found = await get<MeshPeer[]>('/v1/mesh?timeoutMs=1500')
  const here = new Set(found.map(({ id }) => id))
  const linked = new Set(found.flatMap(({ friends }) => friends.map(({ id }) => id)))
  // Slow, as long as anybody still has it for a friend.
  const missing = mesh.value.filter(({ id, missed }) => !here.has(id) && linked.has(id) && missed < missedMax)
  mesh.value = [
    ...found.map((peer) => ({ ...peer, missed: 0 })),
    ...missing.map((peer) => ({ ...peer, missed: peer.missed + 1 })),
  ]
}

let askedAt = 0
async function askTopics(): Promise<void> {
  const found = await get<TopicStatus[]>('/v1/topics')
  const before = new Map(topics.value.map((topic) => [topic.name, topic]))
  const seconds = (performance.now() - askedAt) / 1_000
  askedAt = performance.now()
  topics.value = found.map((topic) => ({
    ...topic,
    rate: Math.max(0, topic.endOffset - (before.get(topic.name)?.endOffset ?? topic.endOffset)) / seconds,
  }))
}

let eventCount = 0
function listen(): void {
  const channel = socket('/v1/events')
  channel.onmessage = ({ data }) => {
    const event = JSON.parse(data)
    if (event.type !== 'ready') events.value = [{ number: ++eventCount, event }, ...events.value].slice(0, eventsMax)
  }
  channel.onclose = () => setTimeout(listen, 3_000)
}
