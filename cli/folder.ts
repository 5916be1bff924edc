/**
 * What a running peer leaves in its data folder for the commands beside it: `peer.json` (process, local API, addresses),
 * `token` and, in a mesh that has one, `mesh` with its secret; the last two readable by their owner only.
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'

const shape = z.object({
  pid: z.int().positive(),
  api: z.string().optional(),
  id: z.string().optional(),
  addresses: z.array(z.string()).optional(),
})

export interface Running {
  pid: number
  api: string
  token: string
}

/** `$XDG_DATA_HOME/grapevine/default`. */
export function defaultFolder(): string {
  return join(process.env.XDG_DATA_HOME || join(homedir(), '.local', 'share'), 'grapevine', 'default')
}

/** The peer that runs in a folder; a `peer.json` whose process is gone is what a crash left. */
export async function runningIn(folder: string): Promise<Running | undefined> {
  const parsed = shape.safeParse(await readJson(join(folder, 'peer.json')))
  const token = await tokenIn(folder)
  if (!parsed.success || !parsed.data.api || !token || !isAlive(parsed.data.pid)) return undefined
  return { pid: parsed.data.pid, api: parsed.data.api, token }
}

/** What the last peer in a folder left, whether or not it runs; undefined where it left in order, or none ever ran. */
export async function lastIn(folder: string): Promise<{ pid: number; api: string; isAlive: boolean } | undefined> {
  const parsed = shape.safeParse(await readJson(join(folder, 'peer.json')))
  if (!parsed.success || !parsed.data.api) return undefined
  const { pid, api } = parsed.data
  return { pid, api, isAlive: isAlive(pid) }
}

export async function tokenIn(folder: string): Promise<string | undefined> {
  return (await readText(join(folder, 'token')))?.trim()
}

export function secretIn(folder: string): Promise<string | undefined> {
  return readText(join(folder, 'mesh'))
}

export interface Announcement {
  api: string
  token: string
  id: string
  addresses: string[]
  /** The mesh secret, if there is one. */
  mesh: string | undefined
}

/** Tells commands of this process; the returned function takes it back. */
export async function announce(
  folder: string,
  { api, token, id, addresses, mesh }: Announcement,
): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true })
  await writeWhole(join(folder, 'token'), token)
  if (mesh) await writeWhole(join(folder, 'mesh'), mesh)
  else await rm(join(folder, 'mesh'), { force: true })
  await writeWhole(join(folder, 'peer.json'), `${JSON.stringify({ pid: process.pid, api, id, addresses })}\n`)
  return async () => {
    for (const name of ['peer.json', 'token', 'mesh']) await rm(join(folder, name), { force: true })
  }
}

/** Readers see the old file or the new one, never half of it. */
async function writeWhole(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}`
  await writeFile(draft, text, { mode: 0o600 })
  await rename(draft, path)
}

async function readText(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined)
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse((await readText(path)) ?? '')
  } catch {
    return undefined
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Somebody else's process is a process too.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
