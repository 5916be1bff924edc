/** The serving end of `/v1/events`: each event as JSON text. A reader that does not read loses the oldest (`limits.eventsMax`). */
import type { WebSocket } from 'ws'
import type { Peer } from '../types.ts'

export function serveEvents(socket: WebSocket, peer: Peer): void {
  const events = peer.events()[Symbol.asyncIterator]()
  const end = () => void events.return?.()
  socket.on('close', end)
  socket.on('error', end)
  socket.on('message', () => socket.close(1008, 'nothing is expected here'))

  const send = (text: string) => new Promise<boolean>((resolve) => socket.send(text, (error) => resolve(!error)))
  const pump = async () => {
    // The client asks for events from now on: this tells it when now was.
    let open = await send('{"type":"ready"}')
    while (open) {
      const { done, value } = await events.next()
      open = !done && (await send(JSON.stringify(value)))
    }
    socket.close(1000)
  }
  pump().catch(() => socket.close(1011, 'events failed'))
}
