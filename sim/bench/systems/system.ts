/** What every messaging system that is measured can do: a server in a folder of its own, and a client for one process. */

/** How many consumers, how much each may have unacknowledged, and what it is told of. */
export interface Consuming {
  consumers: number
  /** Records that one consumer may have at once. */
  prefetch: number
  /** A record has come to this consumer, and its acknowledgement is on its way or, where the client tells, has been taken. */
  onRecord(consumer: number, value: Uint8Array): void
  onError(error: unknown): void
}

/** One process's way in. Everything rejects with the client library's own errors. */
export interface Client {
  /** Resolves when the queue is there and this client is known to it. */
  open(): Promise<void>
  /** Resolves when all of them are stored as durably as the system does it. */
  fill(values: readonly Uint8Array[]): Promise<void>
  /** Receives, and acknowledges record by record, until `close`. */
  consume(consuming: Consuming): Promise<void>
  close(): Promise<void>
}

export interface Server {
  /** Where its clients find it, as it goes through JSON. */
  place: string
  stop(): Promise<void>
}

export interface System {
  /** Name and version of the client library. */
  client: string
  /** What is safe when, as it was set up here. */
  durability: string
  /** Version of the server; undefined where it is not installed. */
  version(): string | undefined
  /** Starts it with its data in `folder`, on loopback ports of its own. */
  start(folder: string): Promise<Server>
  /** In a process of its own, which of how many. */
  connect(place: string, which: { number: number; of: number }): Promise<Client>
}
