/** The systems that are measured, by their names. */
import { grapevine } from './grapevine.ts'
import { jetStream } from './jetstream.ts'
import { rabbitMq } from './rabbitmq.ts'
import type { System } from './system.ts'

export const systems = { grapevine, jetstream: jetStream, rabbitmq: rabbitMq } as const satisfies Record<string, System>

export type SystemName = keyof typeof systems

export const systemNames = Object.keys(systems) as SystemName[]
