/** What every messaging system that is measured can do: a server in a folder of its own, and a client for one process. */

import type { Opened } from '../client.ts'

/**
 * What the clients are there for. `fan-out`: what one sends, all get. `catch-up`: what one has sent, another gets that comes later. `share`: each record of a queue goes to one of those that consume.
 * `publish`: it is stored, and nobody reads it yet. `round-trip`: as `fan-out` between two, but `publish` waits for the other's answer.
 * `idle`: nothing is sent.
 */
export type Use = 'fan-out' | 'catch-up' | 'share' | 'publish' | 'round-trip' | 'idle'

/** How many consumers, how much each may have unacknowledged, and what it is told of. */
export interface Consuming {
  consumers: number
  /** Records that one consumer may have at once. */
  prefetch: number
  /** A record has come to this consumer, and its acknowledgement is on its way or, where the client tells, has been taken. */
  onRecord(consumer: number, value: Uint8Array): void
  onError(error: unknown): void
}

export interface Listening {
  onRecord(value: Uint8Array): void
  onError(error: unknown): void
}

/**
 * One process's way in. Everything rejects with the client library's own errors. What a system cannot do is missing, and no comparison asks
 * it for that.
 */
export interface Client {
  /** Resolves when the topic or queue is there and this client is known to it. */
  open(): Promise<void>
  /** In the way that is fastest with this library. Resolves when all of them are as safe as the system makes them. */
  send?(values: readonly Uint8Array[]): Promise<void>
  /** One, and resolves when it is as safe as the system makes it. */
  publish?(value: Uint8Array): Promise<unknown>
  /** All that anybody sends once this has resolved, until `close`. */
  listen?(listening: Listening): Promise<void>
  /** Shares a queue with the others: receives, and acknowledges record by record, until `close`. */
  consume?(consuming: Consuming): Promise<void>
  /** Takes up so many topics more that nobody sends to. */
  takeUp?(topics: number): Promise<void>
  /** What this process has sent to others. */
  sentBytes?(): Promise<number>
  /** Closes and opens again what is on disk; `bare`: with nothing there that tells what is in it, and from the disk. */
  reopen?(bare: boolean): Promise<Opened>
  close(): Promise<void>
}

export interface Server {
  /** Where its clients find it, as it goes through JSON. */
  place: string
  stop(): Promise<void>
}

export interface Which {
  number: number
  of: number
  use: Use
}

export interface System {
  /** Name and version of the client library. */
  client: string
  /** What is safe when, as it was set up here. */
  durability: string
  /** Version of the server, or of what takes its place; undefined where there is none that will do. */
  version(): string | undefined
  /** What is to be installed for it. Default: what comes with this package. */
  needs?: string
  /** Starts it with its data in `folder`, on loopback ports of its own. */
  start(folder: string): Promise<Server>
  /** In a process of its own, which of how many, and what all of them are there for. */
  connect(place: string, which: Which): Promise<Client>
}
