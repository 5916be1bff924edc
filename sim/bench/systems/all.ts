/** The systems that are measured, by their names. Each is loaded when it is asked for: whose memory is measured has no other's code. */
import type { System } from './system.ts'

const loaders = {
  grapevine: async () => (await import('./grapevine.ts')).grapevine,
  'grapevine-copied': async () => (await import('./grapevine.ts')).grapevineCopied,
  'grapevine-memory': async () => (await import('./grapevine.ts')).grapevineMemory,
  'grapevine-watched': async () => (await import('./grapevine.ts')).grapevineWatched,
  nats: async () => (await import('./nats.ts')).nats,
  jetstream: async () => (await import('./jetstream.ts')).jetStream,
  'jetstream-synced': async () => (await import('./jetstream.ts')).jetStreamSynced,
  rabbitmq: async () => (await import('./rabbitmq.ts')).rabbitMq,
  'rabbitmq-classic': async () => (await import('./rabbitmq.ts')).rabbitMqClassic,
  mosquitto: async () => (await import('./mosquitto.ts')).mosquitto,
  redis: async () => (await import('./redis.ts')).redis,
  'redis-synced': async () => (await import('./redis.ts')).redisSynced,
  gossipsub: async () => (await import('./gossipsub.ts')).gossipsubUnsigned,
  'gossipsub-signed': async () => (await import('./gossipsub.ts')).gossipsubSigned,
  fdatasync: async () => (await import('./raw.ts')).fdatasync,
  file: async () => (await import('./raw.ts')).wholeFile,
  'tcp-stream': async () => (await import('./raw.ts')).tcpStream,
  'noise-stream': async () => (await import('./raw.ts')).noiseStream,
} as const satisfies Record<string, () => Promise<System>>

export type SystemName = keyof typeof loaders

export const systemNames = Object.keys(loaders) as SystemName[]

export function loadSystem(name: SystemName): Promise<System> {
  return loaders[name]()
}
