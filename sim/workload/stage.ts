/** Where applications run: a simulated world, or real processes. */
import type { Peer } from '../../node/index.ts'
import type { History } from '../history.ts'

export interface Stage {
  readonly history: History
  readonly world: {
    readonly time: {
      /** Milliseconds since the run began. */
      elapsed(): number
    }
    /** Of a process that has ended meanwhile, never resolves. */
    sleep(ms: number): Promise<void>
    readonly trace: { text(value: string): void; mix(value: number): void }
  }
  get(name: string): StagePeer
  /** Calls `act` for each process that has started, inside it. */
  onUp(act: (peer: StagePeer) => void): void
  /** Kills the process, as its own code would; it is started again. Not there where that is not to be had. */
  crash?(name: string): void
}

export interface StagePeer {
  readonly name: string
  readonly peer: Pick<Peer, 'id' | 'topic' | 'queue' | 'request'>
  /** Runs code as this peer's process, which takes it along when it ends. */
  within<T>(act: () => T): T
}
