/**
 * G8: damage on a disk is found and told, and only that. That it yields nothing wrong the judge of G6 sees; that it is repaired, those of G1, G2 and G4,
 * whose fresh readers read everything again from the disks after all processes have been started anew.
 */
import type { PeerEvent } from '../../node/index.ts'
import type { History, PeerNote } from '../history.ts'
import { type Evidence, type Judge, some, type Violation } from './judge.ts'

export class Repaired implements Judge {
  readonly #evidence: Evidence

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  verdict(): Violation[] {
    return [...this.#hidden(), ...this.#ownFault()]
  }

  /** A disk that nobody harmed has nothing damaged on it; a write that a crash tore in two is no damage. */
  #ownFault(): Violation[] {
    const { history } = this.#evidence
    const own = history.told.filter(
      ({ peer, at, event }) =>
        event.type === 'damage-found' &&
        event.kind === 'damaged' &&
        !history.peerNotes.some((note) => note.peer === peer && note.what === 'lost' && note.at <= at),
    )
    return some(own, ({ peer, event }) => {
      const { file, position } = event as Extract<PeerEvent, { type: 'damage-found' }>
      return `${peer} found damage in ${file} at ${position}, and nothing had harmed its disk`
    }).map((text) => ({ promise: 'G8', at: 0, text, ids: [] }))
  }

  #hidden(): Violation[] {
    const { history, files } = this.#evidence
    const hidden = history.peerNotes.filter(
      ({ peer, file }) => file !== undefined && (files.get(peer)?.has(file) ?? false),
    )
    return some(
      hidden.filter((note) => lookedAt(history, note) && !told(history, note)),
      ({ peer, text }) => `${peer} has not told of damage: ${text}`,
    ).map((text) => ({ promise: 'G8', at: 0, text, ids: [] }))
  }

  pending(): string[] {
    return []
  }
}

/** Whether the file was opened since, and is still the one that was damaged. */
function lookedAt(history: History, { peer, at, file }: PeerNote): boolean {
  const later = history.peerNotes.filter((note) => note.peer === peer && note.at >= at)
  // Story 1: another disk has taken its place. Story 2: the topic was handed to its keepers and removed, and perhaps taken up again.
  if (later.some((note) => note.what === 'lost' && note.file === undefined)) return false
  if (history.told.some((note) => note.peer === peer && note.at >= at && note.event.type === 'released')) return false
  // Story 3: it was opened by a run that did not come to tell anything, which may have cut the damaged end off.
  return file !== undefined && later.find(isStart)?.what === 'started'
}

function isStart({ what }: PeerNote): boolean {
  return what === 'started' || what === 'start-failed'
}

/** Since then; or before, of a place around this one that was given up: nothing in there is wanted any more. */
function told(history: History, { peer, at, file, position = -1 }: PeerNote): boolean {
  const own = history.told.filter((note) => note.peer === peer)
  return own.some(({ at: when, event: found }, i) => {
    if (found.type !== 'damage-found' || (file !== undefined && found.file !== file)) return false
    if (when >= at) return true
    const later = own
      .slice(i)
      .filter(({ at: since, event }) => since < at && 'topic' in event && event.topic === found.topic)
    return position >= found.position && position < found.position + found.bytes && !areRepaired(later)
  })
}

/** Whether as many places were repaired as were found. */
function areRepaired(told: readonly { event: PeerEvent }[]): boolean {
  const count = (type: PeerEvent['type']) => told.filter(({ event }) => event.type === type).length
  return count('damage-repaired') >= count('damage-found')
}
