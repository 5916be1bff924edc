/**
 * Loaded into each peer of a chaos run before anything else (`node --import`): its connections to other peers go through the
 * wires of the run (`wires.ts`), told who calls whom in a first line; and its disk is full while a file says so, where
 * the run may not mount one that really is. The peer itself is the same as ever.
 */
import { existsSync } from 'node:fs'
import { open } from 'node:fs/promises'
import net from 'node:net'
import { devNull } from 'node:os'

/** What the run tells it, as JSON in the environment. */
export interface Route {
  name: string
  /** Where the wires listen. */
  port: number
  /** While this file exists, writes fail. */
  fullFile?: string
}

export const routeVariable = 'GRAPEVINE_CHAOS'

interface Target {
  host?: string
  port?: number
  path?: string
}

const text = process.env[routeVariable]
if (text !== undefined) {
  const { name, port, fullFile } = JSON.parse(text) as Route
  throughWires(name, port)
  if (fullFile !== undefined) await fullWhile(fullFile)
}

function throughWires(name: string, port: number): void {
  const prototype = net.Socket.prototype as unknown as { connect(this: net.Socket, ...args: unknown[]): net.Socket }
  const { connect } = prototype
  prototype.connect = function (...args) {
    // Node hands itself a list of options and callback, others the options alone.
    const list = Array.isArray(args[0]) ? (args[0] as unknown[]) : args
    const target = list[0] as Target | undefined
    if (target?.host === '127.0.0.1' && target.port !== undefined && target.path === undefined) {
      const to = target.port
      this.prependOnceListener('connect', () => void this.write(`${name} ${to}\n`))
      list[0] = { ...target, port }
    }
    return connect.apply(this, args)
  }
}

async function fullWhile(file: string): Promise<void> {
  const handle = await open(devNull)
  const prototype = Object.getPrototypeOf(handle) as Record<string, (...args: unknown[]) => Promise<unknown>>
  await handle.close()
  for (const method of ['write', 'writev', 'writeFile']) {
    const write = prototype[method]
    if (write === undefined) continue
    prototype[method] = async function (this: unknown, ...args) {
      if (existsSync(file)) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
      return write.apply(this, args)
    }
  }
}
