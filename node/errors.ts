import type { GroupSettings } from './types.ts'

/** Every way Grapevine tells a caller that something did not work. `data` belongs to the code. */
export interface ErrorData {
  /** An option, argument or value the caller gave is wrong; `option` names it. */
  InvalidOption: { option: string }
  /** A topic name has characters or a length that is not allowed. */
  InvalidTopic: { topic: string }
  /** One record is larger than a record may be. */
  RecordTooLarge: { bytes: number; limitBytes: number }
  /** A value could not be turned into bytes, or bytes into a value, by the topic's codec. */
  CodecFailed: { codec: string }
  /** More is waiting to be written than the publish queue holds; wait for earlier publishes. */
  QueueFull: { limitBytes: number }
  /** Too few other peers had the record on disk in time. It is on our disk and stays on its way. */
  ConfirmTimeout: { wanted: number; copies: number; timeoutMs: number; feed: string; seq: number }
  /** The disk refused a write for lack of space. Nothing that was stored is affected. */
  StorageFull: { path: string }
  /** The disk failed in another way. */
  StorageFailed: { path: string }
  /** Another process has this data folder open; `pid` is 0 where it is not known. */
  FolderInUse: { folder: string; pid: number }
  /** The data folder was written by a newer Grapevine. */
  FolderTooNew: { folder: string; format: number; supported: number }
  /** The data folder is not one of ours, or its key cannot be read. */
  FolderInvalid: { folder: string }
  /** None of the addresses could be listened on. */
  ListenFailed: { addresses: string[] }
  /** Listening beyond loopback asks for a mesh secret or an explicit `open`. */
  MeshOpen: { address: string }
  /** The peer is draining or closed. */
  PeerClosed: Record<string, never>
  /** Another reader of this peer already uses the subscription's name. */
  SubscriptionInUse: { name: string; topic: string }
  /** The group exists with other settings. */
  GroupConflict: { topic: string; group: string; has: GroupSettings; asked: GroupSettings }
  /** An `exclusive` group has its one member, `holder`. */
  GroupInUse: { topic: string; group: string; holder: string }
  /**
   * The record is not this delivery's any more: it was settled before (`settled`), was not acknowledged in time (`expired`), or its slot went to
   * another member or has to be claimed again (`taken`); or, with a quorum, no majority heard of the acknowledgement (`unheard`). `holder`
   * has the slot now, as far as is known.
   */
  LeaseLost: {
    group: string
    record: string
    reason: 'settled' | 'expired' | 'taken' | 'unheard'
    holder: string | undefined
  }
  /** Nobody responds on the topic, as far as is known here. */
  NoResponders: { topic: string }
  /** So many requests on the topic wait for an answer already: wait for some. */
  TooManyRequests: { topic: string; limit: number }
  /** No answer came in time. */
  RequestTimeout: { topic: string; timeoutMs: number }
  /** The responder `by` failed with `reason`. */
  RequestFailed: { topic: string; by: string; reason: string }
  /** The local API refused or could not be reached. */
  ApiFailed: { status: number }
}

export type ErrorCode = keyof ErrorData

/**
 * The one error type thrown to callers. Decide by `code`, never by the message;
 * `data` has the fields of that code (see `ErrorData`) and `cause` what lay beneath.
 */
export class GrapevineError<C extends ErrorCode = ErrorCode> extends Error {
  readonly code: C
  readonly data: ErrorData[C]

  constructor(code: C, message: string, data: ErrorData[C], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'GrapevineError'
    this.code = code
    this.data = data
  }
}

/** Whether `error` is a GrapevineError, of this code if one is given. */
export function isError<C extends ErrorCode>(error: unknown, code?: C): error is GrapevineError<C> {
  return error instanceof GrapevineError && (code === undefined || error.code === code)
}
