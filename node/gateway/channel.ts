/** One WebSocket of the local API, seen from either end: whole messages in, backpressure out, one reason for its end. */
import type { RawData, WebSocket } from 'ws'
import { limits } from '../limits.ts'

export interface ChannelHandler {
  onText(text: string): void
  onFrame(bytes: Buffer): void
  /** Once, when nothing more will come. */
  onClose(code: number, reason: string): void
}

export class Channel {
  readonly #socket: WebSocket
  #waiting: (() => void)[] = []

  constructor(socket: WebSocket, handler: ChannelHandler) {
    this.#socket = socket
    socket.binaryType = 'nodebuffer'
    socket.on('message', (data: RawData, isBinary: boolean) => {
      try {
        if (isBinary) handler.onFrame(data as Buffer)
        else handler.onText((data as Buffer).toString())
      } catch {
        this.close(1008, 'a message was not understood')
      }
    })
    // What went wrong shows in the close that follows.
    socket.on('error', () => {})
    socket.on('close', (code, reason) => {
      this.#release()
      handler.onClose(code, reason.toString())
    })
  }

  get open(): boolean {
    return this.#socket.readyState === this.#socket.OPEN
  }

  /** Steering messages are small and never wait; whoever lets too many of them pile up loses the connection. */
  send(message: object): void {
    if (this.#socket.bufferedAmount > limits.apiUnreadBytesMax) this.#socket.terminate()
    if (this.open) this.#socket.send(JSON.stringify(message))
  }

  /** Sends records; resolves when the next may be sent: at once, or when the other side has read enough. */
  async sendFrame(bytes: Uint8Array): Promise<void> {
    if (!this.open) return
    this.#socket.send(bytes, () => {
      if (this.#socket.bufferedAmount <= limits.apiWindowBytes / 2) this.#release()
    })
    if (this.#socket.bufferedAmount <= limits.apiWindowBytes) return
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** Reads no more until `resume`; what the other side sends piles up there. */
  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  close(code = 1000, reason = ''): void {
    // A paused socket would not see the other side's answer.
    this.#socket.resume()
    this.#socket.close(code, reason)
  }

  #release(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}
