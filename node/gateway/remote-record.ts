/** A record that a group hands out through the local API: what is done with it is the peer's to answer. */
import { GrapevineError } from '../errors.ts'
import type { QueueRecord } from '../types.ts'
import { type Fields, RemoteMessage } from './remote-message.ts'

/** What is done with a record. */
export type Act = { type: 'ack' } | { type: 'nack'; delayMs?: number | undefined } | { type: 'extend'; ms: number }
/** What to reject with when the peer has forgotten the record. */
export type Gone = () => GrapevineError
type Settle = (act: Act, gone: Gone) => Promise<void>

const settled = ['settled', 'was settled before: each delivery is acknowledged or refused once'] as const
const expired = [
  'expired',
  'was not settled in time: extend it in time, or open the group with a longer `leaseMs`',
] as const

interface Handed {
  attempt: number
  fencingToken: number
  group: string
}

export class RemoteRecord<T> extends RemoteMessage<T> implements QueueRecord<T> {
  readonly attempt: number
  readonly fencingToken: number
  readonly #group: string
  readonly #act: Settle
  #settled = false

  constructor(fields: Fields<T>, { attempt, fencingToken, group }: Handed, act: Settle) {
    super(fields, () => this.#settle({ type: 'ack' }))
    this.attempt = attempt
    this.fencingToken = fencingToken
    this.#group = group
    this.#act = act
  }

  nack({ delayMs }: { delayMs?: number } = {}): Promise<void> {
    return this.#settle({ type: 'nack', delayMs })
  }

  get receipt(): string {
    return `${this.id}/${this.attempt}/${this.fencingToken}`
  }

  release(): Promise<void> {
    return this.nack()
  }

  extend(ms: number): Promise<void> {
    return this.#act({ type: 'extend', ms }, this.#gone)
  }

  async #settle(act: Act): Promise<void> {
    await this.#act(act, this.#gone)
    this.#settled = true
  }

  readonly #gone = () => {
    const [reason, sentence] = this.#settled ? settled : expired
    const data = { group: this.#group, record: this.id, reason, holder: undefined }
    return new GrapevineError('LeaseLost', `record ${this.id} of group ${this.#group} ${sentence}`, data)
  }
}
