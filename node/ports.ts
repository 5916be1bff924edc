/**
 * What a peer takes from outside: time, randomness, disk, network, small state. Production hands in the real ones
 * (`systemPorts`), the simulator its own. Rooms receive them and use nothing ambient.
 */
import type { AbstractLevel } from 'abstract-level'
import type { Libp2pOptions } from 'libp2p'
import type { Logger } from 'pino'
import type { FriendStatus, GroupStatus, PeerEvent, PeerId, PeerStatus, TopicName, TopicStatus } from './types.ts'
import type { Batch } from './wire/head.ts'

export interface Timer {
  /** Stops it; a second call does nothing. */
  cancel(): void
}

export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  now(): number
  /** Calls `act` once, after `ms`. */
  after(ms: number, act: () => void): Timer
  /** Calls `act` every `ms` until cancelled. */
  every(ms: number, act: () => void): Timer
  /**
   * To be asked between the steps of long work, which is one turn of the event loop as long as all it reads is in memory. Undefined until the turn has
   * lasted for `limits.turnMs`; then it resolves when everything else has had its turn, so that timers are not late by much more.
   */
  breathe(): Promise<void> | undefined
}

export interface Random {
  /** Uniform in [0, 1). */
  float(): number
  /** `count` random bytes; cryptographically strong in production. */
  bytes(count: number): Uint8Array
}

/** An open file. Positions and sizes are bytes. Failures reject with Node's error codes (`ENOSPC`, `EIO`, …). */
export interface DiskFile {
  size(): Promise<number>
  /** Fills `into` from `position`; resolves with the bytes read, fewer only at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>
  /**
   * Writes all pieces one after the other from `position`; resolves when they survive a power cut, rejects when not all could be written. A disk in
   * memory keeps the pieces, which must not change afterwards.
   */
  write(pieces: readonly Uint8Array[], position: number): Promise<void>
  truncate(size: number): Promise<void>
  /** Resolves when what was cut stays so after a power cut, and what a process that has died wrote as well (fdatasync). */
  sync(): Promise<void>
  close(): Promise<void>
}

/** A tree of folders and files; paths are relative to the peer's data folder, with `/`. */
export interface Disk {
  /**
   * Opens for reading and writing, creating the file and its folders where they are missing. `grows`: it is written to at its end again and again;
   * so that not every write has to make the file longer as well, room may be taken ahead, and until it is cut or closed up to
   * `limits.roomBytesMax` zeros follow what was written. `size` leaves them out, but after a crash they are there.
   */
  open(path: string, options?: { grows?: boolean }): Promise<DiskFile>
  /** Names in a folder, sorted; none where it does not exist. */
  list(folder: string): Promise<string[]>
  /** Removes a file, or a folder with all in it; not an error where it does not exist. */
  remove(path: string): Promise<void>
}

/** The small state of a peer: cursors, known peers, marks. Everything in it can be rebuilt. */
export type StateDb = AbstractLevel<string | Buffer | Uint8Array, string, Uint8Array>

export type NetworkParts = Pick<Libp2pOptions, 'transports' | 'connectionEncrypters' | 'logger'>

/** Counts what happens, for whoever watches many peers. All of it is called for batches, never for records. */
export interface Meter {
  /** A batch of ours is on disk, and its publishes wait for others to have it; returns what is to be called when they have. */
  confirming(): () => void
  /** A batch of another peer is on our disk, so long after it was sealed. */
  arrived(ms: number): void
  happened(type: PeerEvent['type']): void
  /** All of that with what the peer says now, in the text format of Prometheus. */
  expose(snapshot: Snapshot): Promise<string>
}

/** Follows records that somebody traces. Called for batches. */
export interface Tracer {
  /** A batch of another peer is on our disk since `now`, from this friend. */
  arrived(batch: Batch, from: PeerId, now: number): void
}

/** What a peer says of itself at one time, without asking others. */
export interface Snapshot {
  status: PeerStatus
  friends: FriendStatus[]
  topics: TopicStatus[]
  /** Those it takes part in. */
  groups: GroupStatus[]
  queues: { name: TopicName; ready: number; inFlight: number; delayed: number }[]
}

export interface Ports {
  clock: Clock
  random: Random
  disk: Disk
  /** Opens the state database; rejects with `FolderInUse` when another process has it. */
  openState(): Promise<StateDb>
  /** Transports and encryption for libp2p, and where it logs to (default: as DEBUG says); `prologue` is what both sides of a handshake must agree on. */
  network(prologue: Uint8Array): NetworkParts
  log: Logger
  /** Default: nothing is counted. */
  meter?: Meter
  /** Default: nothing is traced. */
  tracer?: Tracer
}
