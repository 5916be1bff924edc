/** A disk around another that counts what is asked of it and fails on demand. */
import type { Disk, DiskFile } from '../../node/ports.ts'

export interface Faults {
  /** Bytes that may still be written; what goes beyond is cut off and fails with ENOSPC. */
  quota: number
  failTruncate: boolean
  failSync: boolean
  failRead: boolean
  failOpen: boolean
}

export function faultyDisk(inner: Disk) {
  const faults: Faults = {
    quota: Number.POSITIVE_INFINITY,
    failTruncate: false,
    failSync: false,
    failRead: false,
    failOpen: false,
  }
  const counts = { syncs: 0, writes: 0, opens: 0, open: 0, openMost: 0 }
  /** When set, syncs wait for it. */
  const gate: { closed: Promise<void> | undefined } = { closed: undefined }

  const synced = async () => {
    await gate.closed
    counts.syncs++
    if (faults.failSync) throw failure('EIO')
  }

  const wrap = (file: DiskFile): DiskFile => ({
    size: () => file.size(),
    async read(into, position) {
      if (faults.failRead) throw failure('EIO')
      return file.read(into, position)
    },
    async write(pieces, position) {
      counts.writes++
      const all = Buffer.concat(pieces)
      const fits = Math.min(all.length, faults.quota)
      faults.quota -= fits
      await file.write([all.subarray(0, fits)], position)
      if (fits < all.length) throw failure('ENOSPC')
      await synced()
    },
    async truncate(size) {
      if (faults.failTruncate) throw failure('EIO')
      await file.truncate(size)
    },
    async sync() {
      await synced()
      await file.sync()
    },
    async close() {
      counts.open--
      await file.close()
    },
  })

  const disk: Disk = {
    async open(path, options) {
      if (faults.failOpen) throw failure('EMFILE')
      counts.opens++
      counts.open++
      counts.openMost = Math.max(counts.openMost, counts.open)
      return wrap(await inner.open(path, options))
    },
    list: (folder) => inner.list(folder),
    remove: (path) => inner.remove(path),
  }
  return { disk, faults, counts, gate }
}

function failure(code: string): Error {
  return Object.assign(new Error(`${code}: as the test wanted it`), { code })
}
