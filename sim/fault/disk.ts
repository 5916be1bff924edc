/** Faults of disks: slow, full, and with other bytes on them than were written. */
import type { Fleet } from '../fleet.ts'
import type { FaultEvent } from '../plan.ts'
import type { Rng } from '../world/random.ts'
import type { End } from './faults.ts'

type DiskFault = Extract<FaultEvent, { kind: 'slowdisk' | 'fulldisk' | 'bitflip' | 'truncate' }>

export function onDisk(fleet: Fleet, event: DiskFault, random: Rng): End {
  const { disk } = fleet.get(event.peer)
  switch (event.kind) {
    case 'slowdisk':
      return disk.slow(event)
    case 'fulldisk':
      disk.capacity = disk.used + event.spareBytes
      return () => {
        disk.capacity = Number.POSITIVE_INFINITY
      }
    case 'bitflip': {
      if (event.forMs > 0) fleet.down(event.peer, 'killed')
      for (let i = 0; i < event.bits; i++) flip(fleet, event.peer, random)
      return () => fleet.up(event.peer)
    }
    case 'truncate': {
      fleet.down(event.peer, 'killed')
      for (const path of random.sample(logsOf(disk.paths()), event.files)) {
        disk.cutEnd(path, random.int(1, event.bytes))
        fleet.history.note(event.peer, 'lost', `the end of ${path} is gone`)
      }
      return () => fleet.up(event.peer)
    }
  }
}

function flip(fleet: Fleet, peer: string, random: Rng): void {
  const { disk } = fleet.get(peer)
  const paths = [...logsOf(disk.paths()), ...indexesOf(disk.paths())].filter((path) => disk.size(path) > 0)
  if (paths.length === 0) return
  const path = random.pick(paths)
  const at = disk.flipBit(path)
  // An index is made anew, and no harm: nothing may be told of it.
  if (at === undefined || path.endsWith('.idx')) return
  fleet.history.note(peer, 'lost', `a bit of ${path} at ${at.position}`, { file: path, ...at })
}

/** The logs of topics: what else is on a disk can be made again from them, or is the identity. */
function logsOf(paths: string[]): string[] {
  return paths.filter((path) => /^topics\/[^/]*\/\d+\.seg$/.test(path))
}

function indexesOf(paths: string[]): string[] {
  return paths.filter((path) => /^topics\/[^/]*\/\d+\.idx$/.test(path))
}
