/** `grapevine up`: runs a peer until it is stopped, and opens the local API that all other commands use. */
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import {
  createPeer,
  decodeInvite,
  type Gateway,
  type Monitor,
  type PeerEvent,
  type PeerOptions,
  startGateway,
  startMonitor,
} from '../../node/index.ts'
import { count, each } from '../argument.ts'
import { announce, defaultFolder } from '../folder.ts'
import { addOwnPeerOptions, type PlaceOptions, peerOptionsOf } from '../open.ts'
import { isBrokenPipe, paint, tell, writeJson } from '../output.ts'
import { aborted, stopAsked } from '../stop.ts'

interface UpOptions extends PlaceOptions {
  ephemeral?: boolean
  carry?: string[]
  keep?: number
  monitor?: string
  tracing?: boolean
  log: PeerOptions['logLevel']
}

interface Ready {
  id: string
  addresses: string[]
  api: string
  page: string
  data: string | null
  monitor?: string
}

export function addUp(program: Command): void {
  const command = program.command('up').description('Run a peer until Ctrl-C.')
  command.addOption(
    new Option('--data <dir>', 'the data folder (default: $XDG_DATA_HOME/grapevine/default)').conflicts('ephemeral'),
  )
  command.option('--ephemeral', 'keep everything in memory')
  addOwnPeerOptions(command)
    .option('--carry <topic>', 'carry a topic without subscribing to it; may be repeated', each)
    .option('--keep <n>', 'how many peers keep each topic, whoever subscribes', count)
    .option('--api <host:port>', 'where the local API listens, on loopback', '127.0.0.1:0')
    .option('--tracing', 'spans for OpenTelemetry, to the SDK that is loaded with --import')
    .option('--monitor <host:port>', 'where /metrics, /healthz and /readyz are told without a token, on any address')
    .addOption(
      new Option('--log <level>', 'log to stderr')
        .choices(['silent', 'error', 'warn', 'info', 'debug'])
        .default('silent'),
    )
    .option('--json', 'a ready event, then what happens, as JSON lines')
    .action(up)
}

async function up(options: UpOptions): Promise<void> {
  const stop = stopAsked()
  const { carry, keep, log, tracing } = options
  const data = options.ephemeral ? null : resolve(options.data ?? defaultFolder())
  const settings: PeerOptions = {
    ...peerOptionsOf(options),
    data,
    ...(carry ? { carry } : {}),
    ...(keep === undefined ? {} : { keep }),
    ...(log ? { logLevel: log } : {}),
    ...(tracing ? { tracing } : {}),
  }
  const peer = await createPeer(settings)
  // Listened to from here on: a friend may be found before the peer has said that it is ready.
  const events = peer.events()
  let takeBack = async () => {}
  let gateway: Gateway | undefined
  let monitor: Monitor | undefined
  try {
    // A peer in memory has no folder in which commands would find the token: then whoever starts it may name one.
    const token = process.env.GRAPEVINE_TOKEN
    const where = { ...(options.api ? { listen: options.api } : {}), ...(token ? { token } : {}) }
    gateway = await startGateway({ peer, ...where })
    if (options.monitor !== undefined) monitor = await startMonitor({ peer, listen: options.monitor })
    const { id, addresses } = await peer.status()
    const ready = {
      id,
      addresses,
      api: gateway.address,
      page: gateway.link(),
      data,
      ...(monitor && { monitor: monitor.address }),
    }
    const mesh = options.mesh ?? options.join?.map((text) => decodeInvite(text)?.secret).find(Boolean)
    if (data !== null) takeBack = await announce(data, { ...ready, token: gateway.token, mesh })
    if (options.json) await writeJson({ event: 'ready', pid: process.pid, ...ready })
    else greet(ready, gateway.token)
    void follow(events, options.json === true)
    await aborted(stop)
    await peer.drain()
  } finally {
    try {
      await gateway?.close()
      await monitor?.close()
    } finally {
      await peer.close()
      await takeBack()
    }
  }
}

/** Until the peer is closed. */
async function follow(events: AsyncIterable<PeerEvent>, json: boolean): Promise<void> {
  try {
    for await (const event of events) {
      const { type, ...rest } = event
      if (json) await writeJson({ event: type, ...rest })
      else tell(sentenceOf(event))
    }
  } catch (error) {
    // Whoever read the events has gone; the peer runs on.
    if (!isBrokenPipe(error)) tell(`events ended: ${error instanceof Error ? error.message : error}`)
  }
}

function greet({ id, addresses, api, page, data, monitor }: Ready, token: string): void {
  const start = process.env.npm_lifecycle_event === 'start' ? 'node_modules/.bin/node cli/main.ts' : 'grapevine'
  tell(`${paint('green', 'This is peer')} ${paint('bold', id)}`)
  for (const address of addresses) tell(`  at      ${address}`)
  tell(`  data    ${data ?? 'in memory only'}`)
  tell(`  api     ${api}`)
  tell(`  page    ${paint('cyan', page)}`)
  if (monitor !== undefined) tell(`  monitor http://${monitor}/metrics`)
  const flag = data === null ? ` --api ${api}` : data === defaultFolder() ? '' : ` --data ${data}`
  tell('Try, in another terminal:')
  if (data === null) tell(`  ${paint('cyan', `export GRAPEVINE_TOKEN=${token}`)}`)
  tell(`  ${paint('cyan', `${start} sub hello --from earliest${flag}`)}`)
  tell(`  ${paint('cyan', `${start} pub hello 'Hello, vine!'${flag}`)}`)
}

function sentenceOf(event: PeerEvent): string {
  const { type, time, ...rest } = event
  const details = Object.entries(rest).map(([name, value]) => `${name} ${value}`)
  return `${paint('dim', new Date(time).toTimeString().slice(0, 8))} ${type.replaceAll('-', ' ')}: ${details.join(', ')}`
}
