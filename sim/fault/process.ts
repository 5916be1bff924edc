/** Faults of processes: they are paused, end without being asked, and come back on the disk they had, an old one, or none. */
import type { Fleet } from '../fleet.ts'
import { wiped } from '../history.ts'
import type { FaultEvent } from '../plan.ts'
import type { DiskCopy } from '../world/peer.ts'
import type { End } from './faults.ts'

type ProcessFault = Extract<FaultEvent, { kind: 'pause' | 'skew' | 'kill' | 'power' | 'wipe' | 'rollback' | 'churn' }>

export function onProcess(fleet: Fleet, event: ProcessFault): End {
  switch (event.kind) {
    case 'pause': {
      const peer = fleet.get(event.peer)
      peer.pause()
      return () => peer.resume()
    }
    case 'skew': {
      const peer = fleet.get(event.peer)
      peer.skewMs += event.skewMs
      return () => {
        peer.skewMs -= event.skewMs
      }
    }
    case 'kill':
    case 'power':
      fleet.down(event.peer, event.kind === 'kill' ? 'killed' : 'power')
      return () => fleet.up(event.peer)
    case 'wipe':
      fleet.down(event.peer, 'killed')
      fleet.get(event.peer).wipe()
      fleet.history.note(event.peer, 'lost', wiped)
      return () => fleet.up(event.peer)
    case 'rollback':
      return rollback(fleet, event)
    case 'churn':
      return churn(fleet, event)
  }
}

function rollback(fleet: Fleet, event: Extract<FaultEvent, { kind: 'rollback' }>): End {
  const peer = fleet.get(event.peer)
  const run = { over: false, down: false }
  void (async () => {
    const copy: DiskCopy = await peer.copy()
    await fleet.world.sleep(event.copyAgeMs)
    if (run.over) return
    run.down = true
    fleet.down(event.peer, 'killed')
    fleet.history.note(event.peer, 'lost', `its disk is as it was ${event.copyAgeMs} ms ago`)
    await peer.restore(copy)
  })()
  return () => {
    run.over = true
    if (run.down) fleet.up(event.peer)
  }
}

function churn(fleet: Fleet, event: Extract<FaultEvent, { kind: 'churn' }>): End {
  let over = false
  const down = new Set<string>()
  void (async () => {
    for (let at = 0; !over; at = (at + 1) % event.peers.length) {
      const name = event.peers[at] as string
      fleet.down(name, 'killed')
      down.add(name)
      void fleet.world.sleep(event.downMs).then(() => {
        if (down.delete(name)) fleet.up(name)
      })
      await fleet.world.sleep(event.everyMs)
    }
  })()
  return () => {
    over = true
    for (const name of down) fleet.up(name)
    down.clear()
  }
}
