/** Gathers what a diagnosis is made of. */
import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { connectPeer, isError, type Peer } from '../../node/index.ts'
import { defaultFolder, lastIn, tokenIn } from '../folder.ts'
import type { Facts, Place } from './diagnose.ts'

export interface Whom {
  api?: string
  data?: string
}

/** What hangs does not answer within this. */
const answerMs = 5_000
const meshMs = 2_000

export async function examine({ api, data }: Whom): Promise<Facts> {
  const folder = data ?? defaultFolder()
  const at = () => Date.now()
  const last = api === undefined ? await lastIn(folder) : undefined
  if (api === undefined && last === undefined)
    return { place: { kind: existsSync(folder) ? 'ended' : 'unused', folder }, at: at() }
  const address = api ?? last?.api ?? ''
  const token = process.env.GRAPEVINE_TOKEN || (await tokenIn(folder)) || ''
  const reached = await reach(address, token)
  if ('kind' in reached) {
    if (reached.kind !== 'unreachable' || last === undefined) return { place: reached, at: at() }
    const { pid, isAlive } = last
    const place: Place = isAlive ? { kind: 'silent', pid, api: address } : { kind: 'died', folder, pid }
    return { place, at: at() }
  }
  try {
    return await ask(reached)
  } finally {
    await reached.close()
  }
}

async function reach(api: string, token: string): Promise<Peer | Place> {
  try {
    const peer = await Promise.race([connectPeer({ api, token }), late(answerMs)])
    return peer ?? { kind: 'unreachable', api }
  } catch (error) {
    if (isError(error, 'ApiFailed') && [401, 403].includes(error.data.status)) return { kind: 'locked', api }
    if (isError(error, 'ApiFailed')) return { kind: 'unreachable', api }
    throw error
  }
}

async function ask(peer: Peer): Promise<Facts> {
  const [status, mesh, topics, groups, queues] = await Promise.all([
    peer.status(),
    peer.mesh({ timeoutMs: meshMs }),
    peer.topics(),
    peer.groups(),
    peer.queues(),
  ])
  const disk = status.data === null ? undefined : await statfs(status.data).catch(() => undefined)
  return {
    place: { kind: 'answers' },
    status,
    mesh,
    topics,
    groups,
    queues,
    ...(disk && { freeBytes: disk.bavail * disk.bsize }),
    at: Date.now(),
  }
}

function late(ms: number): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), ms).unref()
  })
}
