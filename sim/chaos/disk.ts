/** Harm to the files of a stopped peer, and disks that fill up. */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Rng } from '../world/random.ts'

/** Of a mounted disk. */
const mountBytes = 256 * 1024 * 1024
const ballast = 'ballast'

/** The logs of topics: what else is in the folder can be made again, or is the identity. Relative to the folder. */
export function logsIn(folder: string): string[] {
  return globSync('topics/**/*.seg', { cwd: folder }).sort()
}

/** Flips one bit of a log; says of which. */
export function flipBit(folder: string, random: Rng): { file: string; position: number } | undefined {
  const files = logsIn(folder).filter((file) => endOf(readFileSync(join(folder, file))) > 0)
  if (files.length === 0) return undefined
  const file = random.pick(files)
  const bytes = readFileSync(join(folder, file))
  const position = random.int(0, endOf(bytes) - 1)
  bytes[position] = (bytes[position] as number) ^ (1 << random.int(0, 7))
  writeFileSync(join(folder, file), bytes)
  return { file, position }
}

/** Cuts up to so many bytes off the ends of some logs; says of which. */
export function cutEnds(folder: string, random: Rng, bytes: number, files: number): string[] {
  const cut = random.sample(logsIn(folder), files)
  for (const file of cut) {
    const path = join(folder, file)
    truncateSync(path, Math.max(0, endOf(readFileSync(path)) - random.int(1, bytes)))
  }
  return cut
}

/** Where what was written ends: zeros may have been written ahead of it. */
function endOf(bytes: Uint8Array): number {
  return bytes.findLastIndex((byte) => byte !== 0) + 1
}

export function wipe(folder: string): void {
  for (const name of existsSync(folder) ? readdirSync(folder) : [])
    rmSync(join(folder, name), { recursive: true, force: true })
}

/** The disk of one peer, which can be full: one of its own where that may be mounted, else one that says it is (`route.ts`). */
export class FillableDisk {
  readonly folder: string
  readonly fullFile: string
  readonly #mounted: boolean

  constructor(folder: string) {
    this.folder = folder
    this.fullFile = `${folder}.full`
    mkdirSync(folder, { recursive: true })
    this.#mounted = mount(folder)
  }

  fill(spareBytes: number): void {
    if (!this.#mounted) {
      writeFileSync(this.fullFile, '')
      return
    }
    const { bavail, bsize } = statfsSync(this.folder)
    writeFileSync(join(this.folder, ballast), Buffer.alloc(Math.max(0, bavail * bsize - spareBytes)))
  }

  free(): void {
    rmSync(this.#mounted ? join(this.folder, ballast) : this.fullFile, { force: true })
  }

  close(): void {
    if (this.#mounted) execFileSync('umount', ['--lazy', this.folder])
  }
}

function mount(folder: string): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mountBytes}`, 'tmpfs', folder], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
