/**
 * What is promised of requests, which are a group's records that are answered (G7): each ends in its time, with the answer to it or with an error that
 * says what happened; it is worked on at one peer at a time, and not when its asker has given up; nobody is told that there are no responders
 * where there are some; and once the faults are over, all are answered.
 */
import type { AskerPlan, GroupPlan, RequestPlan } from '../plan.ts'
import type { Asking, Handling } from '../request-history.ts'
import { failureOf } from '../workload/responder.ts'
import { clockSpread } from './clocks.ts'
import { Excuses } from './excuse.ts'
import { type Evidence, isHonest, type Judge, some, type Violation } from './judge.ts'

const leaseMs = 5_000
/** Until then whoever has started, or begun to respond, is known (guess). */
const knownMs = 15_000
/** Commits, and the turn of timers (guess). */
const turnMs = 500
/** From a handler's end to its asker: a commit and a few trips (guess). */
const answerMs = 3_000
/** Requests in a row that are answered, or refused by a handler, in the end. */
const answeredLast = 3
/** What may be said of a disk that takes nothing. */
const diskFaults = new Set(['fulldisk', 'slowdisk'])

export class Answered implements Judge {
  readonly #evidence: Evidence

  constructor(evidence: Evidence) {
    this.#evidence = evidence
  }

  verdict(): Violation[] {
    const wrong = this.#plans().flatMap((plan) => {
      const excuses = new Excuses(this.#evidence, groupFor(plan))
      const asked = this.#asked(plan)
      return [
        ...some(
          asked.flatMap((asking) => this.#unended(asking)),
          text,
        ),
        ...some(
          asked.flatMap((asking) => this.#outcome(asking, excuses)),
          text,
        ),
        ...some(this.#handled(plan, excuses), text),
      ]
    })
    return wrong.map((text) => ({ promise: 'G7', at: 0, text, ids: [] }))
  }

  pending(): string[] {
    const { plan } = this.#evidence
    return this.#plans().flatMap((requests) => {
      if (!requests.responders.some(({ peer }) => isHonest(plan, peer))) return []
      const askers = requests.askers.filter(({ peer }) => isHonest(plan, peer) && !this.#isAnswered(requests, peer))
      return some(
        askers.filter((asker) => this.#isTold(requests, asker)),
        ({ peer }) => `${peer} is not answered on ${requests.topic}`,
      )
    })
  }

  #plans(): RequestPlan[] {
    return this.#evidence.plan.workload.requests ?? []
  }

  #asked({ topic }: RequestPlan): Asking[] {
    const { plan, history } = this.#evidence
    return history.requests.asked.filter((asking) => asking.topic === topic && isHonest(plan, asking.peer))
  }

  #isAnswered(plan: RequestPlan, peer: string): boolean {
    const since = this.#evidence.plan.safetyMs
    const last = this.#asked(plan)
      .filter((asking) => asking.peer === peer && asking.at >= since && asking.outcome !== undefined)
      .slice(-answeredLast)
    const isTold = ({ outcome, number }: Asking) =>
      outcome?.type === 'answered' || (outcome?.type === 'failed' && outcome.text.includes(failureOf(number)))
    return last.length === answeredLast && last.every(isTold)
  }

  /**
   * Story 1: when a request is over is told as a moment by its asker's clock. Where that is behind a responder's by as much as the request may take, it
   * is over before anybody has it.
   */
  #isTold({ responders }: RequestPlan, { peer, timeoutMs }: AskerPlan): boolean {
    const { plan } = this.#evidence
    const among = [peer, ...responders.map((responder) => responder.peer)]
    return clockSpread(this.#evidence, among, plan.safetyMs + plan.livenessMs) + turnMs / 2 < timeoutMs
  }

  /** In its time, as its asker's clock measures it; a paused process is told late. */
  #unended(asking: Asking): string[] {
    const { peer, at, timeoutMs, outcome, diedAt } = asking
    const { faults } = this.#evidence.history
    const endedAt = outcome?.at ?? diedAt
    if (endedAt === undefined) return []
    const paused = faults
      .filter(({ event }) => event.kind === 'pause' && event.peer === peer)
      .reduce((sum, pause) => sum + overlap(at, endedAt, pause.at, pause.endedAt), 0)
    const most = timeoutMs * 1.01 + turnMs + paused
    if (endedAt - at <= most) return []
    return [`${nameOf(asking)} took ${Math.round(endedAt - at)} ms, and was to be over after ${timeoutMs}`]
  }

  #outcome(asking: Asking, excuses: Excuses): string[] {
    const { number, outcome, timeoutMs, at } = asking
    if (outcome === undefined) return []
    if (outcome.type === 'answered') {
      const fits = outcome.number === number && this.#of(number).some(({ peer }) => peer === outcome.by)
      return fits ? [] : [`${nameOf(asking)} got the answer to ${outcome.number}, by ${outcome.by}`]
    }
    switch (outcome.code) {
      case 'RequestFailed':
        return outcome.text.includes(failureOf(number)) ? [] : [`${nameOf(asking)} was told: ${outcome.text}`]
      case 'NoResponders':
        return this.#absent(asking, excuses)
      case 'RequestTimeout':
        if (outcome.at - at < timeoutMs * 0.99 - 2) return [`${nameOf(asking)} was over after ${outcome.at - at} ms`]
        return this.#unheard(asking, excuses)
      default:
        return this.#disk(asking, outcome.at) ? [] : [`${nameOf(asking)} failed with ${outcome.code}: ${outcome.text}`]
    }
  }

  /** Somebody who has responded for a while is known to whoever runs for a while, where nothing is wrong. */
  #absent(asking: Asking, excuses: Excuses): string[] {
    const { history } = this.#evidence
    const { at, outcome, peer, topic } = asking
    const since = at - knownMs
    const until = outcome?.at ?? at
    if (!excuses.isCalm(since, until) || startedIn(this.#evidence, since, until)) return []
    const there = history.requests.responding.filter(
      (each) => each.topic === topic && each.openedAt <= since && (each.endedAt ?? until) >= until,
    )
    return there.map((each) => `${nameOf(asking)} was told that nobody responds, and ${each.peer} did, as ${peer} knew`)
  }

  /** A handler was done with it in time, and nothing was wrong. */
  #unheard(asking: Asking, excuses: Excuses): string[] {
    const { at, timeoutMs, number } = asking
    const done = this.#of(number).filter(({ doneAt }) => doneAt !== undefined && doneAt + answerMs <= at + timeoutMs)
    if (!excuses.isCalm(at - knownMs, at + timeoutMs)) return []
    return done.map(({ peer, doneAt }) => `${nameOf(asking)} was not told what ${peer} answered at ${doneAt} ms`)
  }

  #handled(plan: RequestPlan, excuses: Excuses): string[] {
    const { requests } = this.#evidence.history
    const responders = plan.responders.map(({ peer }) => peer)
    const byNumber = new Map<number, Handling[]>()
    for (const one of requests.handled)
      if (one.topic === plan.topic) byNumber.set(one.number, [...(byNumber.get(one.number) ?? []), one])
    return [...byNumber].flatMap(([number, handled]) => {
      const asking = requests.asked[number]
      if (asking === undefined) return [`${handled[0]?.peer} was asked ${number}, which nobody asked`]
      const spreadMs = clockSpread(this.#evidence, [asking.peer, ...responders], asking.at + asking.timeoutMs)
      const until = asking.at + asking.timeoutMs + spreadMs + turnMs
      const late = handled.filter(({ at }) => at > until)
      const twice = handled.filter((one, i) =>
        handled
          .slice(0, i)
          .some((before) => this.#isOpen(before, one.at) && excuses.of(before.at, one.at) === undefined),
      )
      return [
        ...late.map(({ peer, at }) => `${nameOf(asking)} was handled by ${peer} at ${Math.round(at)} ms, too late`),
        ...twice.map(
          ({ peer, at }) => `${nameOf(asking)} was handled by ${peer} at ${Math.round(at)} ms, and by another still`,
        ),
      ]
    })
  }

  #isOpen({ peer, at, doneAt = Number.POSITIVE_INFINITY }: Handling, when: number): boolean {
    const { peerNotes, faults } = this.#evidence.history
    const died = peerNotes.some(
      (note) =>
        note.peer === peer && note.at >= at && note.at <= when && (note.what === 'killed' || note.what === 'power'),
    )
    // What it has is another's when it does not go on.
    const paused = faults.some(
      ({ event, at: from }) => event.kind === 'pause' && event.peer === peer && from >= at && from <= when,
    )
    return !died && !paused && doneAt > when
  }

  #of(number: number): Handling[] {
    return this.#evidence.history.requests.handled.filter((handling) => handling.number === number)
  }

  /** A disk that was full or slow while it was asked. */
  #disk({ peer, at }: Asking, until: number): boolean {
    return this.#evidence.history.faults.some(
      ({ event, at: from, endedAt = Number.POSITIVE_INFINITY }) =>
        diskFaults.has(event.kind) && 'peer' in event && event.peer === peer && from <= until && endedAt + turnMs >= at,
    )
  }
}

function groupFor({ topic }: RequestPlan): GroupPlan {
  const shared = { type: 'shared', leaseMs, maxReceives: 1_000, quorum: false, from: 'latest' } as const
  return { ...shared, topic, name: '_respond', consumers: [] }
}

function startedIn({ history }: Evidence, from: number, to: number): boolean {
  return history.peerNotes.some(({ at, what }) => what === 'started' && at >= from && at <= to)
}

function overlap(a: number, b: number, from: number, to = Number.POSITIVE_INFINITY): number {
  return Math.max(0, Math.min(b, to) - Math.max(a, from))
}

function text(wrong: string): string {
  return wrong
}

function nameOf({ number, peer, at }: Asking): string {
  return `request ${number} of ${peer} at ${Math.round(at)} ms`
}
