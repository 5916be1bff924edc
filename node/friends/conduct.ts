/** Counts what peers do against the protocols, and says who stays out for a while. Old offences are forgiven. */
import { limits } from '../limits.ts'
import type { PeerId } from '../types.ts'

interface Record {
  offences: number[]
  bannedUntil: number
}

export class Conduct {
  readonly #records = new Map<PeerId, Record>()

  /** Counts one; true when that was one too many and the peer is banned now. */
  offence(peer: PeerId, now: number): boolean {
    const record = this.#records.get(peer) ?? { offences: [], bannedUntil: 0 }
    record.offences = record.offences.filter((time) => now - time < limits.misbehaviourMs)
    record.offences.push(now)
    this.#records.delete(peer)
    this.#records.set(peer, record)
    if (this.#records.size > limits.offendersMax) this.#records.delete(this.#records.keys().next().value as PeerId)
    if (record.offences.length < limits.misbehavioursMax) return false
    record.offences = []
    record.bannedUntil = now + limits.banMs
    return true
  }

  banned(peer: PeerId, now: number): boolean {
    return (this.#records.get(peer)?.bannedUntil ?? 0) > now
  }
}
