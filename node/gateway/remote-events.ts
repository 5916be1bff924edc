/** Events through the local API. A reader that does not read loses the oldest (`limits.eventsMax`). */
import { limits } from '../limits.ts'
import type { Channel } from './channel.ts'
import { errorOf } from './frame.ts'
import { Inbox } from './inbox.ts'
import { lost, openChannel } from './remote-socket.ts'
import type { RemoteOwner } from './remote-topic.ts'

/** What happens from now on; `opening` tells the peer what is meant. */
export function remoteEvents<E>(owner: RemoteOwner, path: string, opening?: object): AsyncIterable<E> {
  const inbox = new Inbox<E>()
  const opened = openChannel(owner.place, path, {
    onText: (text) => {
      const event = JSON.parse(text)
      if (event.type === 'ready') return
      if (event.type === 'error') return inbox.fail(errorOf(event, 500))
      if (inbox.size >= limits.eventsMax) inbox.dropOldest()
      inbox.push(event)
    },
    onFrame: () => {},
    onClose: (code) => (code === 1000 ? inbox.end() : inbox.fail(lost('the connection to the local API was lost'))),
  }).then((channel) => {
    if (opening !== undefined) channel.send(opening)
    return owner.adopt(channel)
  })
  opened.catch(() => {})
  return eventsOf(owner, inbox, opened)
}

async function* eventsOf<E>(owner: RemoteOwner, inbox: Inbox<E>, opened: Promise<Channel>): AsyncGenerator<E> {
  try {
    await opened
    for (let event = await inbox.take(); event; event = await inbox.take()) yield event
  } finally {
    const channel = await opened.catch(() => undefined)
    channel?.close()
    if (channel) owner.release(channel)
  }
}
