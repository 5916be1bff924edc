/** What `createPeer` may be told, and how each is checked: a wrong one is an `InvalidOption` whose sentence names it. */
import { z } from 'zod'
import { GrapevineError } from './errors.ts'
import { addressOf } from './host/address.ts'
import { type MeshName, meshNameOf } from './host/names.ts'
import { decodeInvite } from './invite.ts'
import { limits } from './limits.ts'
import type { TopicName } from './types.ts'
import { parseTopic } from './wire/topic.ts'

type LogLevel = 'silent' | 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace'

export interface PeerOptions {
  /** The peer's folder, created where it is missing; `null` (default): everything in memory, lost on closing. */
  data?: string | null
  /** Multiaddrs to listen on. Default `['/ip4/127.0.0.1/tcp/0']`; beyond loopback asks for `mesh` or `open`. */
  listen?: string[]
  /**
   * Multiaddrs of peers, invites (which bring the mesh secret), or `dns:NAME` and `dns:NAME:PORT` (4001), all of whose addresses are peers; tried for
   * ever. Groups, queues and subscriptions with a name wait up to
   * 10 s for the first friend before they begin alone.
   */
  join?: string[]
  /** The secret that all peers of a mesh share. Default none: peers that have none find each other. */
  mesh?: string
  /** Allows listening beyond loopback without a mesh secret: whoever reaches the port is in the mesh. Default false. */
  open?: boolean
  /** How many peers keep each topic, whoever subscribes: 0 to 16, default 3. */
  keep?: number
  /** Topics to carry without subscribing to them. */
  carry?: string[]
  /** `guest`: a short-lived peer that is never chosen as a keeper. Default `peer`. */
  role?: 'peer' | 'guest'
  /** Finds peers on this machine, and on the LAN when listening beyond loopback. Default true. */
  discover?: boolean
  /** How long a publish waits for its confirmations, ms. Default 30,000. */
  confirmTimeoutMs?: number
  /** What makes old records go, in whole segments. Default: nothing does. */
  retention?: { maxAgeMs?: number; maxBytes?: number }
  /** Spans for OpenTelemetry, and the context of a trace in the headers of records. Default false. */
  tracing?: boolean
  /** What goes to stderr as JSON lines. Default `silent`. */
  logLevel?: LogLevel
}

/** Options with defaults filled in and invites opened: `join` has only addresses. */
export interface CheckedOptions {
  data: string | null
  listen: string[]
  join: string[]
  names: MeshName[]
  mesh: string
  keep: number
  carry: TopicName[]
  role: 'peer' | 'guest'
  discover: boolean
  confirmTimeoutMs: number
  retention: { maxAgeMs?: number; maxBytes?: number }
  tracing: boolean
  logLevel: LogLevel
}

const levels = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const
const says = (error: string) => ({ error })
const texts = (what: string) =>
  z.array(z.string(says(`takes ${what} as strings`)), says(`takes a list of ${what}`)).default([])
const milliseconds = (what: string) =>
  z.number(says(what)).positive(says(what)).max(Number.MAX_SAFE_INTEGER, says(what))
const bytes = 'takes a number of bytes above 0'

const shape = z.strictObject({
  data: z
    .union([z.string().min(1), z.null()], says('takes the path of a folder, or null for memory only'))
    .default(null),
  listen: texts('multiaddrs'),
  join: texts('multiaddrs, invites or dns:NAME'),
  mesh: z
    .string(says('takes a secret of at least one character'))
    .min(1, says('takes a secret of at least one character'))
    .optional(),
  open: z.boolean(says('takes true or false')).default(false),
  keep: z
    .int(says('takes a whole number from 0 to 16'))
    .min(0, says('takes a whole number from 0 to 16'))
    .max(16, says('takes a whole number from 0 to 16'))
    .default(3),
  carry: texts('topics'),
  role: z.enum(['peer', 'guest'], says("takes 'peer' or 'guest'")).default('peer'),
  discover: z.boolean(says('takes true or false')).default(true),
  confirmTimeoutMs: milliseconds('takes milliseconds above 0').default(limits.confirmTimeoutMs),
  retention: z
    .strictObject(
      {
        maxAgeMs: milliseconds('takes milliseconds above 0').optional(),
        maxBytes: z.int(says(bytes)).positive(says(bytes)).optional(),
      },
      says('takes { maxAgeMs, maxBytes }'),
    )
    .default({}),
  tracing: z.boolean(says('takes true or false')).default(false),
  logLevel: z.enum(levels, says(`takes one of ${levels.join(', ')}`)).default('silent'),
})

/** Throws `InvalidOption`, `InvalidTopic`, or `MeshOpen` when it would listen beyond loopback unprotected. */
export function checkOptions(options: PeerOptions = {}): CheckedOptions {
  const parsed = shape.safeParse(options)
  if (!parsed.success) throw firstOf(parsed.error)
  const { open, mesh, ...rest } = parsed.data
  const listen = rest.listen.length > 0 || options.listen ? rest.listen : ['/ip4/127.0.0.1/tcp/0']
  for (const address of listen) checkAddress('listen', address)

  const joined = openJoins(rest.join, mesh)
  const outside = listen.find((address) => !staysHome(address))
  if (outside !== undefined && joined.mesh === '' && !open) {
    throw new GrapevineError(
      'MeshOpen',
      `listening on ${outside} would let anybody who reaches it into the mesh: give a mesh secret, an invite, or \`open\` if that is meant`,
      { address: outside },
    )
  }
  const { retention } = rest
  return {
    ...rest,
    listen,
    ...joined,
    carry: rest.carry.map((name) => parseTopic(name)),
    retention: {
      ...(retention.maxAgeMs === undefined ? {} : { maxAgeMs: retention.maxAgeMs }),
      ...(retention.maxBytes === undefined ? {} : { maxBytes: retention.maxBytes }),
    },
  }
}

function openJoins(join: string[], mesh: string | undefined): { join: string[]; names: MeshName[]; mesh: string } {
  const addresses: string[] = []
  const names: MeshName[] = []
  let secret = mesh
  for (const text of join) {
    if (text.startsWith('dns:')) {
      const name = meshNameOf(text)
      if (name === undefined)
        throw invalid('join', `has ${JSON.stringify(text)}, which is no name such as dns:peers.example.org:4001`)
      names.push(name)
      continue
    }
    const invite = decodeInvite(text)
    if (!invite) checkAddress('join', text)
    addresses.push(...(invite?.addresses ?? [text]))
    if (!invite?.secret) continue
    if (secret !== undefined && secret !== invite.secret) {
      throw invalid('join', 'has an invite to another mesh than `mesh` (or another invite) names: use one of them')
    }
    secret = invite.secret
  }
  return { join: addresses, names, mesh: secret ?? '' }
}

function checkAddress(option: string, text: string): void {
  if (addressOf(text) !== undefined) return
  throw invalid(option, `has ${JSON.stringify(text)}, which is no multiaddr such as /ip4/192.168.1.20/tcp/4001`)
}

/** Whether only this machine can reach an address. */
function staysHome(text: string): boolean {
  const [first] = addressOf(text)?.getComponents() ?? []
  const value = first?.value ?? ''
  return (
    (first?.name === 'ip4' && value.startsWith('127.')) ||
    (first?.name === 'ip6' && value === '::1') ||
    value === 'localhost' ||
    first?.name === 'memory'
  )
}

function firstOf(error: z.ZodError): GrapevineError<'InvalidOption'> {
  const [issue] = error.issues
  if (issue?.code === 'unrecognized_keys') {
    const option = [...issue.path, issue.keys[0]].join('.')
    return invalid(option, `is not known: there are ${Object.keys(shape.shape).join(', ')}`)
  }
  const option = issue?.path.filter((part) => typeof part === 'string').join('.') || 'options'
  return invalid(option, issue?.message ?? 'is wrong')
}

function invalid(option: string, sentence: string): GrapevineError<'InvalidOption'> {
  return new GrapevineError('InvalidOption', `option \`${option}\` ${sentence}`, { option })
}
