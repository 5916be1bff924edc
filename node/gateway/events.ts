/**
 * The serving end of `/v1/events` and `/v1/group-events`: each event as JSON text. A reader that does not read loses the oldest
 * (`limits.eventsMax`).
 */
import type { WebSocket } from 'ws'
import type { GroupEvent, Peer, PeerEvent } from '../types.ts'
import { failureOf, groupOpening, parseJson } from './frame.ts'
import { groupOf } from './queue.ts'

export function serveEvents(socket: WebSocket, peer: Peer): void {
  pump(socket, peer.events())
}

/** Its reader says first which group it means. */
export function serveGroupEvents(socket: WebSocket, peer: Peer): void {
  socket.on('error', () => {})
  socket.once('message', (text) => {
    try {
      pump(socket, groupOf(peer, parseJson(text.toString(), groupOpening)).events())
    } catch (error) {
      socket.send(JSON.stringify({ type: 'error', ...failureOf(error) }))
      socket.close(1000)
    }
  })
}

function pump(socket: WebSocket, from: AsyncIterable<PeerEvent | GroupEvent>): void {
  const events = from[Symbol.asyncIterator]()
  const end = () => void events.return?.()
  socket.on('close', end)
  socket.on('error', end)
  socket.on('message', () => socket.close(1008, 'nothing is expected here'))

  const send = (text: string) => new Promise<boolean>((resolve) => socket.send(text, (error) => resolve(!error)))
  const sendAll = async () => {
    // The client asks for events from now on: this tells it when now was.
    let open = await send('{"type":"ready"}')
    while (open) {
      const { done, value } = await events.next()
      open = !done && (await send(JSON.stringify(value)))
    }
    socket.close(1000)
  }
  sendAll().catch(() => socket.close(1011, 'events failed'))
}
