/**
 * Who may talk to the local API. It listens on loopback only, and still every page in a browser on this machine can
 * reach loopback: so a request needs the token, must name a loopback host (a name that a hostile page has pointed at
 * 127.0.0.1 is not one), and may come from no other page than the gateway's own.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import { GrapevineError } from '../errors.ts'

export interface Listen {
  host: string
  port: number
}

/** Reads `HOST:PORT`, of the option of this name. Throws `InvalidOption`. */
export function hostPort(listen: string, option: string): Listen {
  const match = /^(?:\[(?<six>[^\]]+)\]|(?<host>[^:]+)):(?<port>\d{1,5})$/.exec(listen)
  const host = match?.groups?.six ?? match?.groups?.host
  const port = Number(match?.groups?.port)
  if (host === undefined || port > 65_535) {
    const message = `${option} ${JSON.stringify(listen)} is not HOST:PORT, such as 127.0.0.1:0`
    throw new GrapevineError('InvalidOption', message, { option })
  }
  return { host, port }
}

/** As `hostPort`, where the host is a loopback one. Throws `InvalidOption`. */
export function parseListen(listen: string): Listen {
  const { host, port } = hostPort(listen, 'api')
  if (!isLoopback(host)) {
    throw new GrapevineError('InvalidOption', `api ${listen} is not on loopback: use 127.0.0.1, ::1 or localhost`, {
      option: 'api',
    })
  }
  return { host, port }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

export interface Asker {
  host?: string | undefined
  origin?: string | undefined
  authorization?: string | undefined
  'sec-websocket-protocol'?: string | undefined
}

/** The protocol that a page opens its WebSockets with; the token follows, since a page can give them no other header. */
export const socketProtocol = 'grapevine'
const tokenProtocol = 'token.'

/** Why a request is refused: its status and a sentence; undefined when it may pass. Without `isToken` nothing is asked but where it comes from. */
export function refusalOf(
  headers: Asker,
  isToken: ((given: string) => boolean) | undefined,
): { status: number; message: string } | undefined {
  const host = authorityOf(`http://${headers.host ?? ''}`)
  if (!host || !isLoopback(host.name)) return { status: 403, message: 'the Host header names no loopback address' }
  if (headers.origin !== undefined && authorityOf(headers.origin)?.whole !== host.whole) {
    return { status: 403, message: 'requests from pages of other origins are refused' }
  }
  if (isToken !== undefined && !isToken(tokenOf(headers))) {
    return { status: 401, message: 'the token is missing or wrong: it is in the file `token` of the data folder' }
  }
  return undefined
}

function authorityOf(url: string): { name: string; whole: string } | undefined {
  if (!URL.canParse(url)) return undefined
  const { hostname, host } = new URL(url)
  return { name: hostname.replace(/^\[|\]$/g, ''), whole: host }
}

function tokenOf({ authorization = '', 'sec-websocket-protocol': protocols = '' }: Asker): string {
  const bearer = /^Bearer (.+)$/i.exec(authorization)?.[1]
  const protocol = protocols.split(/, */).find((each) => each.startsWith(tokenProtocol))
  return bearer ?? protocol?.slice(tokenProtocol.length) ?? ''
}

/** Compares in a time that tells nothing of where they differ. */
export function same(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
