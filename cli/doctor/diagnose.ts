/** From what is known of a peer and its mesh to what is wrong and what to do about it: pure. */
import type { GroupSummary, JoinStatus, MeshPeer, PeerStatus, QueueSummary, TopicStatus } from '../../node/index.ts'
import { byteText } from '../output.ts'

/** What the folder of a peer says, and whether anybody answers there. */
export type Place =
  | { kind: 'answers' }
  /** No peer has ever run there. */
  | { kind: 'unused'; folder: string }
  /** None runs; the last one left in order. */
  | { kind: 'ended'; folder: string }
  /** None runs, and the last one, process `pid`, left no word. */
  | { kind: 'died'; folder: string; pid: number }
  /** Process `pid` is there, and its API does not answer. */
  | { kind: 'silent'; pid: number; api: string }
  /** It answers that the token is wrong. */
  | { kind: 'locked'; api: string }
  /** Nothing answers where `--api` said. */
  | { kind: 'unreachable'; api: string }

export interface Facts {
  place: Place
  status?: PeerStatus
  mesh?: MeshPeer[]
  topics?: TopicStatus[]
  groups?: GroupSummary[]
  queues?: QueueSummary[]
  /** Of the disk that the data is on. */
  freeBytes?: number
  /** When that was asked, by this machine's clock. */
  at: number
}

export interface Finding {
  /** `wrong`: it does not do what it should; `risk`: it does, for now. */
  severity: 'wrong' | 'risk'
  /** A word for scripts. */
  cause: string
  says: string
  /** What to do about it. */
  advice: string
}

const freeBytesMin = 256 * 1024 * 1024
/** Clocks that differ by more than any network would explain. */
const clockMsMax = 5_000
/** What was refused longer ago may be mended since. */
const recentMs = 600_000
/** Listening there, it can be reached from this machine only. */
const isLoopback = (address: string) => /^\/ip4\/127\.|^\/ip6\/::1\//.test(address)

export function diagnose(facts: Facts): Finding[] {
  const placed = placeFinding(facts.place)
  if (placed !== undefined) return [placed]
  return [
    ...diskFindings(facts),
    ...friendFindings(facts),
    ...meshFindings(facts),
    ...topicFindings(facts),
    ...workFindings(facts),
  ]
}

function wrong(cause: string, says: string, advice: string): Finding {
  return { severity: 'wrong', cause, says, advice }
}

function risk(cause: string, says: string, advice: string): Finding {
  return { severity: 'risk', cause, says, advice }
}

function placeFinding(place: Place): Finding | undefined {
  switch (place.kind) {
    case 'answers':
      return undefined
    case 'unused':
      return wrong(
        'no-peer',
        `No peer has ever run in ${place.folder}.`,
        'Start one with `grapevine up`, or name the folder of yours with --data.',
      )
    case 'ended':
      return wrong(
        'no-peer',
        `No peer runs in ${place.folder}; the last one was stopped.`,
        `Start it again with \`grapevine up --data ${place.folder}\`.`,
      )
    case 'died':
      return wrong(
        'peer-died',
        `The peer in ${place.folder}, process ${place.pid}, has ended without a word: it crashed, was killed, or the machine went down.`,
        `Start it again with \`grapevine up --data ${place.folder}\`: nothing that was confirmed is lost.`,
      )
    case 'silent':
      return wrong(
        'peer-silent',
        `Process ${place.pid} is there, but its API at ${place.api} does not answer: it is stopped or hangs.`,
        `Look at it with \`ps -o stat,time -p ${place.pid}\`: T is stopped (\`kill -CONT ${place.pid}\`); else, if \`ps\` shows a peer, kill it and start it again.`,
      )
    case 'locked':
      return wrong(
        'wrong-token',
        `The peer at ${place.api} refuses the token.`,
        'Unset GRAPEVINE_TOKEN where it is set, and name the data folder of this very peer with --data: its file `token` is written when it starts.',
      )
    case 'unreachable':
      return wrong(
        'no-peer',
        `Nothing answers at ${place.api}.`,
        'Is the peer still running? `grapevine up` prints the address of its API, which changes unless --api says it.',
      )
    default:
      return place satisfies never
  }
}

function diskFindings({ status, freeBytes }: Facts): Finding[] {
  const found: Finding[] = []
  if (status?.state === 'full')
    found.push(
      wrong(
        'disk-full',
        'The disk is full: what friends send is not stored, and publishes fail.',
        `Free some space${status.data === null ? '' : ` on the disk of ${status.data}`}, or start it with less retention.`,
      ),
    )
  else if (freeBytes !== undefined && freeBytes < freeBytesMin)
    found.push(
      risk(
        'disk-nearly-full',
        `Only ${byteText(freeBytes)} are free on the disk of the data folder.`,
        'Free some space before writes fail.',
      ),
    )
  if (status?.state === 'draining')
    found.push(
      wrong('draining', 'The peer is stopping: it takes no more publishes.', 'Start it again when it has ended.'),
    )
  const lost = status?.troubles.filter(({ type }) => type === 'damage-lost').length ?? 0
  if (lost > 0)
    found.push(
      wrong(
        'damage-lost',
        `${lost} damaged places on the disk were given up: no friend has what was there.`,
        'Check the disk (`dmesg`, `smartctl`); more carriers (--keep) would have had it.',
      ),
    )
  for (const trouble of status?.troubles ?? [])
    if (trouble.type === 'fork')
      found.push(
        wrong(
          'fork',
          `Publisher ${trouble.publisher} wrote two batches under one number on ${trouble.topic}: that feed has stopped.`,
          'Its data folder was copied or restored while it ran, or its key is used twice: give one of the two a new folder.',
        ),
      )
  return found
}

function friendFindings({ status, mesh = [], at }: Facts): Finding[] {
  if (status === undefined) return []
  const found: Finding[] = []
  const refused = status.troubles.findLast(
    (trouble) => trouble.type === 'refused' && /mesh secret/.test(trouble.reason) && at - trouble.time < recentMs,
  )
  if (refused?.type === 'refused') {
    found.push(
      wrong(
        'other-mesh-secret',
        `A peer at ${refused.address} has another mesh secret than this one.`,
        'Start both with the same --mesh (or GRAPEVINE_MESH), or with an invite of the other: `grapevine invite`.',
      ),
    )
  }
  for (const join of status.joins) if (join.state === 'failing') found.push(joinFinding(join))
  if (status.friends > 0) return found
  if (found.length > 0) return found
  const knows = status.joins.length > 0 || status.settings.discover
  found.push(
    knows
      ? risk(
          'alone',
          'It has found no other peer: what is published is on this disk alone.',
          'Start a second one; on another machine, with --join and what `grapevine invite` prints here.',
        )
      : risk(
          'told-nobody',
          'It was started with --no-discovery and without --join, so it knows nobody: what is published is on this disk alone.',
          'Start it with --join, or without --no-discovery.',
        ),
  )
  if (
    mesh.length <= 1 &&
    status.joins.some(({ address }) => !isLoopback(address)) &&
    status.addresses.every(isLoopback)
  )
    found.push(
      wrong(
        'loopback-only',
        'It listens on loopback only, and joins peers elsewhere: they cannot reach it.',
        'Start it with --listen /ip4/0.0.0.0/tcp/4001 and a mesh secret.',
      ),
    )
  return found
}

function joinFinding({ address, failure = '' }: JoinStatus): Finding {
  if (/ECONNREFUSED/.test(failure))
    return wrong(
      'join-refused',
      `Nothing listens at ${address}.`,
      'Is the peer there running, and on that port? `grapevine invite` there prints its addresses.',
    )
  if (/timed? ?out|abort|EHOSTUNREACH|ENETUNREACH/i.test(failure))
    return wrong(
      'join-unreachable',
      `${address} does not answer.`,
      'A wrong address, a firewall, or a peer that listens on loopback only (--listen).',
    )
  return wrong(
    'join-failing',
    `${address} cannot be joined: ${failure}.`,
    'Check the address, and whether a peer of this mesh runs there.',
  )
}

function meshFindings({ status, mesh = [], at }: Facts): Finding[] {
  const found: Finding[] = []
  const others = mesh.filter(({ id }) => id !== status?.id)
  const off = others.filter(({ time }) => Math.abs(time - at) > clockMsMax)
  if (off.length > 0 && off.length * 2 > others.length)
    found.push(
      wrong(
        'clock-wrong',
        `The clock of this machine differs by ${Math.round(Math.abs((off[0]?.time ?? at) - at) / 1_000)} s from those of most others.`,
        'Set it (`timedatectl set-ntp true`): times of records and expiry follow it.',
      ),
    )
  else
    for (const { id, time } of off)
      found.push(
        wrong(
          'clock-wrong',
          `The clock of peer ${id.slice(-6)} is ${Math.round(Math.abs(time - at) / 1_000)} s ${time > at ? 'ahead' : 'behind'}.`,
          'Set it there (`timedatectl set-ntp true`): times of records and expiry follow it.',
        ),
      )
  const versions = [...new Set(mesh.map(({ version }) => version))].sort()
  if (versions.length > 1)
    found.push(
      risk(
        'versions-differ',
        `Peers of the mesh run different versions: ${versions.join(', ')}.`,
        'Bring them to one, one after the other.',
      ),
    )
  return found
}

function topicFindings({ status, mesh = [], topics = [] }: Facts): Finding[] {
  const keepers = mesh.filter(({ role }) => role === 'peer').length
  const alone = topics.filter(({ held, records, carriers }) => held !== 'none' && records > 0 && carriers <= 1)
  if (keepers < 2 || alone.length === 0) return []
  const names = alone
    .slice(0, 3)
    .map(({ name }) => name)
    .join(', ')
  const few = (status?.settings.keep ?? 3) < 2
  return [
    risk(
      'single-copy',
      `${alone.length === 1 ? 'Topic' : `${alone.length} topics, among them`} ${names}: nobody else carries ${alone.length === 1 ? 'it' : 'them'}, though there are other peers.`,
      few
        ? 'Peers were started with --keep below 2: start them with 3 (the default).'
        : 'Others take it up within seconds; where they do not, look at what `grapevine doctor` says there.',
    ),
  ]
}

function workFindings({ groups = [], queues = [] }: Facts): Finding[] {
  const idle = groups.filter(({ members, lag = 0 }) => members.length === 0 && lag > 0)
  const dead = queues.filter(({ dead = 0 }) => dead > 0)
  return [
    ...idle.map(({ name, topic, lag }) =>
      wrong(
        'nobody-works',
        `Group ${name} on ${topic} has no member, and ${lag} records wait.`,
        `Start a consumer: \`grapevine consume ${topic} --group ${name} …\`.`,
      ),
    ),
    ...dead.map(({ name, settings, dead: count }) =>
      risk(
        'dead-letters',
        `Queue ${name} has ${count} dead ${count === 1 ? 'letter' : 'letters'}: they failed as often as they may.`,
        `See why with \`grapevine sub ${settings.deadLetter} --from earliest --json\`; when it is mended, \`grapevine queue redrive ${name}\`.`,
      ),
    ),
  ]
}
