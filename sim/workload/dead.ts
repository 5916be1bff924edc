/** Reads the dead letters of a topic's groups, to the end of its peer's process: they say themselves where they are from. */
import type { Stage, StagePeer } from './stage.ts'

export async function readDead({ history }: Stage, { peer }: StagePeer, topic: string): Promise<void> {
  const dead = deadLetterOf(topic)
  const subscription = peer.topic<Uint8Array>(dead, { codec: 'bytes' }).subscribe({ from: 'earliest' })
  for await (const { headers, time } of subscription) {
    const about = (what: string) => String(headers[`grapevine-dead-${what}`])
    history.groups.dead.push({
      group: `${about('topic')}/${about('group')}`,
      feed: about('feed'),
      index: Number(about('index')),
      reason: about('reason'),
      attempts: Number(about('attempts')),
      time,
    })
  }
}

/** Where groups of this topic put them, unless told otherwise. */
function deadLetterOf(topic: string): string {
  return `${topic}.dead`
}
