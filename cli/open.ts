/**
 * Which peer a command talks to: the one `--api` names, else the one that runs in the data folder, else one of its own
 * for as long as the command takes: in the folder `--data` names or, without one, in memory.
 */
import { type Command, Option } from 'commander'
import {
  type ConnectOptions,
  connectPeer,
  createPeer,
  GrapevineError,
  isError,
  type Peer,
  type PeerOptions,
} from '../node/index.ts'
import { each } from './argument.ts'
import { defaultFolder, runningIn, tokenIn } from './folder.ts'

export interface PlaceOptions {
  data?: string
  api?: string
  mesh?: string
  join?: string[]
  listen?: string[]
  open?: boolean
  discovery: boolean
  json?: boolean
}

export interface Opened {
  peer: Peer
  /** `running`: somebody else's; `folder` or `memory`: this command's own. */
  kind: 'running' | 'folder' | 'memory'
  /** Orderly: what was published is on its way, the connection or the own peer is closed. */
  end(): Promise<void>
}

/** How long a peer that has just started looks for others before it counts as alone. */
const companyMs = 5_000

/** The options by which a command finds its peer. */
export function addPlaceOptions(command: Command): Command {
  return addOwnPeerOptions(
    command
      .option('--data <dir>', 'the data folder of the peer to talk to')
      .option(
        '--api <host:port>',
        'the local API of the peer to talk to; its token comes from GRAPEVINE_TOKEN or the data folder',
      ),
  ).option('--json', 'data as JSON')
}

/** The options of a peer, for `up` and for commands that run one of their own. */
export function addOwnPeerOptions(command: Command): Command {
  return command
    .option('--listen <addr>', 'multiaddr to listen on; may be repeated (default: /ip4/127.0.0.1/tcp/0)', each)
    .option('--join <addr>', 'multiaddr of a peer, an invite, or dns:NAME[:PORT]; may be repeated', each)
    .addOption(new Option('--mesh <secret>', 'the secret that all peers of the mesh share').env('GRAPEVINE_MESH'))
    .option('--open', 'listen beyond loopback without a mesh secret')
    .option('--no-discovery', 'find no peers but those of --join')
}

/** The part of a peer's options that all commands share. */
export function peerOptionsOf({
  listen,
  join,
  mesh,
  open,
  discovery,
}: Omit<PlaceOptions, 'data' | 'api'>): PeerOptions {
  return {
    ...(listen ? { listen } : {}),
    ...(join ? { join } : {}),
    ...(mesh ? { mesh } : {}),
    ...(open ? { open } : {}),
    discover: discovery,
  }
}

export async function openPeer(options: PlaceOptions): Promise<Opened> {
  const running = await connectedPeer(options)
  if (running) return { peer: running, kind: 'running', end: () => endOf(running) }
  const data = options.data ?? null
  const peer = await createPeer({ ...peerOptionsOf(options), data, role: 'guest' })
  return { peer, kind: data === null ? 'memory' : 'folder', end: () => endOf(peer) }
}

async function endOf(peer: Peer): Promise<void> {
  try {
    await peer.drain()
  } finally {
    await peer.close()
  }
}

/** The peer that runs already, if there is one. Throws `ApiFailed` when it is there and does not let us in. */
export function connectedPeer(options: Pick<PlaceOptions, 'api' | 'data'>): Promise<Peer | undefined> {
  return atRunning(options, connectPeer)
}

/** Does something with the API of the peer that runs already; undefined where none does. */
export async function atRunning<T>(
  { api, data }: Pick<PlaceOptions, 'api' | 'data'>,
  act: (place: ConnectOptions) => Promise<T>,
): Promise<T | undefined> {
  const folder = data ?? defaultFolder()
  if (api !== undefined) {
    const token = process.env.GRAPEVINE_TOKEN || (await tokenIn(folder))
    if (token) return act({ api, token })
    const message = `no token for ${api}: name its peer's data folder with --data, or set GRAPEVINE_TOKEN`
    throw new GrapevineError('ApiFailed', message, { status: 401 })
  }
  const running = await runningIn(folder)
  if (!running) return undefined
  try {
    return await act(running)
  } catch (error) {
    // Its process number belongs to another program by now: what a crash left. Were it alive, the folder would be locked.
    if (isError(error, 'ApiFailed') && error.data.status === 0) return undefined
    throw error
  }
}

/** What is published by a peer in memory that is alone is lost with it. */
export function alone(): GrapevineError<'ApiFailed'> {
  const sentence =
    'found no other peer, and one in memory keeps nothing: start one with `grapevine up`, name one with --join, or give --data'
  return new GrapevineError('ApiFailed', sentence, { status: 0 })
}

/** Waits until a peer of our own has found a friend; false when there seems to be none. */
export async function hasCompany({ peer, kind }: Opened, signal: AbortSignal): Promise<boolean> {
  if (kind === 'running') return true
  const end = Date.now() + companyMs
  while (!signal.aborted) {
    if ((await peer.friends()).length > 0) return true
    if (Date.now() > end) return false
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return false
}
