/** The real outside: time, randomness and TCP. What the simulator replaces. */
import { randomBytes } from 'node:crypto'
import { tcp } from '@libp2p/tcp'
import { limits } from '../limits.ts'
import type { Clock, NetworkParts, Random } from '../ports.ts'
import { fastNoise } from './noise.ts'

/** When this turn of the event loop began, as far as anybody asked. */
let turnBegan: number | undefined

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, act) {
    // Node warns of what is due already, as it may be by the time it is asked for on a busy machine.
    const timer = setTimeout(act, Math.max(0, ms))
    return { cancel: () => clearTimeout(timer) }
  },
  every(ms, act) {
    const timer = setInterval(act, ms)
    return { cancel: () => clearInterval(timer) }
  },
  breathe() {
    const now = performance.now()
    if (turnBegan === undefined) {
      turnBegan = now
      setImmediate(() => {
        turnBegan = undefined
      })
    }
    if (now - turnBegan < limits.turnMs) return undefined
    return systemTurn()
  },
}

/** Resolves when everything else that can go on has had its turn. */
export function systemTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

export const systemRandom: Random = {
  float: () => Math.random(),
  bytes: (count) => new Uint8Array(randomBytes(count)),
}

/**
 * TCP under noise. The prologue is part of the handshake's hash: two sides with different ones cannot decrypt each other's
 * second message, which costs nothing per byte afterwards.
 */
export function systemNetwork(prologue: Uint8Array): NetworkParts {
  return {
    transports: [
      tcp({
        // Liveness is judged by the friends room; a socket that is only quiet is not closed beneath it.
        inboundSocketInactivityTimeout: limits.socketIdleMs,
        outboundSocketInactivityTimeout: limits.socketIdleMs,
        maxConnections: limits.connectionsMax * 2,
      }),
    ],
    connectionEncrypters: [fastNoise({ prologueBytes: prologue })],
  }
}
