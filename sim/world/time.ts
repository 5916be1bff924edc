/**
 * Virtual time: owns the global timers, `Date`, `performance.now` and `AbortSignal.timeout` while a simulation runs, and jumps from one
 * timer to the next. Promises and `process.nextTick` stay real: between two timers they run until nothing is left of them, so the order
 * of everything follows from the order of the timers, and that from the seed.
 *
 * @sinonjs/fake-timers (design section 7) looks through all timers to find the next one; with the 20,000 of 500 peers that was most of
 * the run. Here a heap orders them. Besides, each timer remembers the actor (a simulated peer) that set it, through all its promises
 * (AsyncLocalStorage), so that one peer can be paused, and its timers dropped when it crashes, whatever library set them.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { TimerHeap } from './heap.ts'

/** Whoever sets timers: a simulated peer. */
export interface Actor {
  readonly name: string
  /** While paused, its timers wait; they come due together on resuming, as after SIGCONT. */
  paused: boolean
  /** A crashed process has no timers. */
  dead: boolean
}

export interface VirtualTimer {
  at: number
  order: number
  actor: Actor | undefined
  act: (() => void) | undefined
  everyMs: number | undefined
}

const real = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
  clearImmediate: globalThis.clearImmediate,
  Date: globalThis.Date,
  now: performance.now.bind(performance),
  abortTimeout: AbortSignal.timeout,
}

/** Milliseconds of the machine, for reports on a run and for nothing inside it. */
export const realNow = real.now

/** 2023-11-14T22:13:20Z: any fixed moment will do. */
export const epoch = 1_700_000_000_000

export class VirtualTime {
  readonly #heap = new TimerHeap<VirtualTimer>((a, b) => a.at - b.at || a.order - b.order)
  readonly #actors = new AsyncLocalStorage<Actor>()
  /** How to enter each actor's context: to make one anew for each timer costs more than most timers do. */
  readonly #scopes = new WeakMap<Actor, ReturnType<typeof AsyncLocalStorage.snapshot>>()
  /** Timers of paused actors that have come due. */
  readonly #held = new Map<Actor, VirtualTimer[]>()
  #now = epoch
  #order = 0
  #installed = false

  now(): number {
    return this.#now
  }

  /** Milliseconds since the simulation began. */
  elapsed(): number {
    return this.#now - epoch
  }

  /** Runs `act` so that every timer set in it, or in what follows from it, belongs to `actor`. */
  as<T>(actor: Actor, act: () => T): T {
    if (this.current() === actor) return act()
    const scope = this.#scopes.get(actor) ?? this.#actors.run(actor, () => AsyncLocalStorage.snapshot())
    this.#scopes.set(actor, scope)
    return scope(act)
  }

  /** Runs `act` on nobody's behalf: what it sets outlives the actor it is called by. */
  apart<T>(act: () => T): T {
    return this.#actors.exit(act)
  }

  /** The actor on whose behalf this code runs. */
  current(): Actor | undefined {
    return this.#actors.getStore()
  }

  set(act: () => void, ms: number, everyMs?: number, actor = this.current()): VirtualTimer {
    const delay = Number.isFinite(ms) && ms > 0 ? ms : 0
    const timer: VirtualTimer = { at: this.#now + delay, order: this.#order++, actor, act, everyMs }
    this.#heap.push(timer)
    return timer
  }

  clear(timer: VirtualTimer | undefined): void {
    // It stays in the heap until its time, holding nothing.
    if (timer !== undefined) {
      timer.act = undefined
      timer.everyMs = undefined
    }
  }

  /** Timers that are set, by actor. */
  pending(): Map<Actor, number> {
    const counts = new Map<Actor, number>()
    for (const { act, actor } of this.#heap.items())
      if (act !== undefined && actor !== undefined) counts.set(actor, (counts.get(actor) ?? 0) + 1)
    return counts
  }

  /** Lets a paused actor's timers that came due meanwhile happen now. */
  resume(actor: Actor): void {
    actor.paused = false
    for (const timer of this.#held.get(actor) ?? []) {
      timer.at = this.#now
      this.#heap.push(timer)
    }
    this.#held.delete(actor)
  }

  /** Jumps to the next timer and runs it; false when there is none. */
  step(): boolean {
    const timer = this.#heap.pop()
    if (timer === undefined) return false
    this.#now = Math.max(this.#now, timer.at)
    const { actor, act } = timer
    if (act === undefined || actor?.dead) return true
    if (actor?.paused) {
      this.#held.set(actor, [...(this.#held.get(actor) ?? []), timer])
      return true
    }
    if (timer.everyMs === undefined) timer.act = undefined
    else {
      timer.at = this.#now + timer.everyMs
      timer.order = this.#order++
      this.#heap.push(timer)
    }
    if (actor === undefined) this.#actors.exit(act)
    else this.as(actor, act)
    return true
  }

  /** Replaces the globals. Only one at a time can be installed in a process. */
  install(random: () => number): void {
    if (this.#installed || globalThis.setTimeout !== real.setTimeout)
      throw new Error('a simulation is running already in this process')
    this.#installed = true
    const start = (act: (...args: unknown[]) => void, ms: number, args: unknown[], every: boolean) => {
      const delay = Math.max(1, Number(ms) || 0)
      return new TimerHandle(this, () => this.set(() => act(...args), delay, every ? delay : undefined))
    }
    const stop = (handle: unknown) => {
      if (handle instanceof TimerHandle) handle.clear()
    }
    const globals = globalThis as unknown as Record<string, unknown>
    globals.setTimeout = (act: () => void, ms: number, ...args: unknown[]) => start(act, ms, args, false)
    globals.setInterval = (act: () => void, ms: number, ...args: unknown[]) => start(act, ms, args, true)
    globals.setImmediate = (act: (...args: unknown[]) => void, ...args: unknown[]) =>
      new TimerHandle(this, () => this.set(() => act(...args), 0))
    globals.clearTimeout = stop
    globals.clearInterval = stop
    globals.clearImmediate = stop
    globals.Date = virtualDate(() => Math.floor(this.#now))
    performance.now = () => this.elapsed()
    // One for all: nobody looks at most of them, as what they were to end is over, and each would come with a stack.
    const timeout = new DOMException('The operation was aborted due to timeout', 'TimeoutError')
    AbortSignal.timeout = (ms: number) => {
      const controller = new AbortController()
      this.set(() => controller.abort(timeout), ms)
      return controller.signal
    }
    Math.random = random
  }

  uninstall(): void {
    if (!this.#installed) return
    this.#installed = false
    const { now, abortTimeout, ...timers } = real
    Object.assign(globalThis, timers)
    performance.now = now
    AbortSignal.timeout = abortTimeout
  }
}

/** A real turn: before the next one all promises and ticks that are left are done, however long their chains are. */
export function nextTurn(act: () => void): void {
  real.setImmediate(act)
}

/** What Node's `setTimeout` returns, as far as libraries use it. */
class TimerHandle {
  readonly #time: VirtualTime
  readonly #start: () => VirtualTimer
  #timer: VirtualTimer | undefined

  constructor(time: VirtualTime, start: () => VirtualTimer) {
    this.#time = time
    this.#start = start
    this.#timer = start()
  }

  clear(): void {
    this.#time.clear(this.#timer)
    this.#timer = undefined
  }

  close(): this {
    this.clear()
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  hasRef(): boolean {
    return true
  }

  refresh(): this {
    this.#time.clear(this.#timer)
    this.#timer = this.#start()
    return this
  }

  [Symbol.dispose](): void {
    this.clear()
  }
}

function virtualDate(now: () => number): DateConstructor {
  return class VirtualDate extends real.Date {
    constructor(...args: []) {
      super(...((args.length === 0 ? [now()] : args) as [number]))
    }

    static override now(): number {
      return now()
    }
  } as unknown as DateConstructor
}
