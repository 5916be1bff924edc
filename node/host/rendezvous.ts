/**
 * A folder in which the running peers of one user and mesh leave their addresses: finds peers on one machine where multicast is off.
 *
 * 1. Only a folder that belongs to us and that nobody else can enter is used: in a shared temp folder anybody may have made it.
 * 2. A peer's file is complete or not there (written aside and renamed), and goes with the peer; after a crash it is known as stale by
 *    its dead process and removed by whoever sees it.
 * 3. What stands in the files is checked like anything from outside, and read only up to a bound.
 */
import { constants as fsConstants, type Stats } from 'node:fs'
import { lstat, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { limits } from '../limits.ts'
import type { Clock, Timer } from '../ports.ts'
import type { PeerId } from '../types.ts'
import { type Discovery, tagOf } from './discovery.ts'

const entryShape = z.object({
  id: z.string().regex(/^12D3Koo[1-9A-HJ-NP-Za-km-z]{45}$/),
  pid: z.number().int().positive(),
  addresses: z.array(z.string().max(256)).max(limits.addressesPerCardMax),
})

/**
 * `root` is where the folder of each mesh is made. Default: `$XDG_RUNTIME_DIR/grapevine` where there is such a folder of ours,
 * else `grapevine-<user id>` in the temp folder.
 */
export function rendezvous(mesh: string, clock: Clock, root?: string): Discovery {
  return new Rendezvous(tagOf(mesh), clock, root)
}

class Rendezvous implements Discovery {
  readonly #tag: string
  readonly #clock: Clock
  readonly #root: string | undefined
  readonly #seen = new Map<string, number>()
  #act: (peer: PeerId, addresses: string[]) => void = () => undefined
  #folder: string | undefined
  #self: { id: PeerId; addresses: string[] } = { id: '' as PeerId, addresses: [] }
  #timer: Timer | undefined
  #looking: Promise<void> = Promise.resolve()
  #busy = false

  constructor(tag: string, clock: Clock, root: string | undefined) {
    this.#tag = tag
    this.#clock = clock
    this.#root = root
  }

  onFound(act: (peer: PeerId, addresses: string[]) => void): void {
    this.#act = act
  }

  async start(self: { id: PeerId; addresses: string[] }): Promise<void> {
    this.#self = self
    this.#folder = await privateFolder(this.#root ?? (await defaultRoot()), this.#tag)
    if (this.#folder === undefined) return
    this.#timer = this.#clock.every(limits.rendezvousMs, () => this.#tick())
    this.#tick()
    await this.#looking
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    await this.#looking
    if (this.#folder === undefined) return
    // A successor with our identity may have written its own file meanwhile.
    const path = this.#pathOf(this.#self.id)
    if ((await readEntry(path))?.pid === process.pid) await rm(path, { force: true }).catch(() => undefined)
  }

  #tick(): void {
    // A folder that answers slowly is not asked again before it has answered.
    if (this.#busy) return
    this.#busy = true
    this.#looking = this.#look()
      // Removed or unreadable meanwhile: the next look may find it again.
      .catch(() => undefined)
      .finally(() => {
        this.#busy = false
      })
  }

  async #look(): Promise<void> {
    const folder = this.#folder as string
    const own = `${this.#self.id}.json`
    const names = await readdir(folder)
    if (!names.includes(own)) await this.#writeOwn()
    for (const name of this.#seen.keys()) if (!names.includes(name)) this.#seen.delete(name)
    const others = names.filter((name) => name.endsWith('.json') && name !== own)
    for (const name of others.slice(0, limits.rendezvousPeersMax)) await this.#consider(name)
  }

  async #consider(name: string): Promise<void> {
    const path = join(this.#folder as string, name)
    const stat = await lstat(path).catch(() => undefined)
    if (stat === undefined || !stat.isFile() || stat.size > limits.rendezvousFileBytesMax) return
    if (this.#seen.get(name) === stat.mtimeMs) return
    const entry = await readEntry(path)
    if (entry === undefined || `${entry.id}.json` !== name) return
    if (!alive(entry.pid)) {
      await rm(path, { force: true })
      return
    }
    this.#seen.set(name, stat.mtimeMs)
    this.#act(entry.id as PeerId, entry.addresses)
  }

  async #writeOwn(): Promise<void> {
    const path = this.#pathOf(this.#self.id)
    const aside = `${path}.${process.pid}.new`
    const flags = fsConstants.O_CREAT | fsConstants.O_WRONLY | fsConstants.O_TRUNC
    const file = await open(aside, flags, 0o600)
    try {
      await file.writeFile(JSON.stringify({ ...this.#self, pid: process.pid }))
    } finally {
      await file.close()
    }
    await rename(aside, path)
  }

  #pathOf(peer: PeerId): string {
    return join(this.#folder as string, `${peer}.json`)
  }
}

async function readEntry(path: string): Promise<z.infer<typeof entryShape> | undefined> {
  try {
    return entryShape.parse(JSON.parse(await readFile(path, 'utf8')))
  } catch {
    return undefined
  }
}

async function defaultRoot(): Promise<string> {
  const runtime = process.env.XDG_RUNTIME_DIR
  if (runtime && ours(await lstat(runtime).catch(() => undefined))) return join(runtime, 'grapevine')
  return join(tmpdir(), `grapevine-${process.getuid?.() ?? 'user'}`)
}

/** The folder of a mesh below the root, made where missing; undefined when either of them is not ours alone. */
async function privateFolder(root: string, tag: string): Promise<string | undefined> {
  try {
    await mkdir(root, { recursive: true, mode: 0o700 })
    // Others may look into the root (a data folder may lie there as well), but not put anything in our place.
    if (!ours(await lstat(root), 0o022)) return undefined
    const folder = join(root, tag)
    await mkdir(folder, { recursive: true, mode: 0o700 })
    return ours(await lstat(folder)) ? folder : undefined
  } catch {
    return undefined
  }
}

/** A folder of ours that gives others none of these permissions. */
function ours(stat: Stats | undefined, forbidden = 0o077): boolean {
  if (stat === undefined || !stat.isDirectory()) return false
  // Where there are no user ids (Windows) the temp folder is the user's own.
  if (process.getuid === undefined) return true
  return stat.uid === process.getuid() && (stat.mode & forbidden) === 0
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
