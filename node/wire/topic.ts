/** Names of topics: what is allowed in them, checked at every door where one comes in. */
import { GrapevineError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { TopicName } from '../types.ts'

/** No level may be empty: that also keeps `.` and `..` from ever becoming the name of a folder. */
const shape = /^\$?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/

/**
 * `name` as a topic name. Names beginning with `$` are Grapevine's own and pass only with `own`.
 * Throws `InvalidTopic`.
 */
export function parseTopic(name: string, options: { own?: boolean } = {}): TopicName {
  const wrong = wrongWith(name, options.own === true)
  if (wrong === undefined) return name as TopicName
  throw new GrapevineError('InvalidTopic', `topic ${quoted(name)} ${wrong}`, { topic: String(name) })
}

function wrongWith(name: string, own: boolean): string | undefined {
  if (typeof name !== 'string') return 'is not a string'
  if (name.length === 0) return 'is empty: give it a name such as orders.eu'
  if (name.length > limits.topicBytesMax) {
    return `is ${name.length} characters long: at most ${limits.topicBytesMax} are allowed`
  }
  if (name.startsWith('$') && !own) return 'begins with $: those names are kept for Grapevine itself'
  if (shape.test(name)) return undefined
  return 'is not allowed: use A-Z a-z 0-9 _ - in levels separated by single dots'
}

function quoted(name: string): string {
  const text = String(name)
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text)
}
