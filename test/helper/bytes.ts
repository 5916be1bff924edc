import * as assert from 'uvu/assert'
import { WireError } from '../../node/wire/error.ts'

/** Text, or hex with spaces in it, as plain bytes. */
export function bytesOf(text: string, encoding: 'utf8' | 'hex' = 'utf8'): Uint8Array {
  return new Uint8Array(Buffer.from(encoding === 'hex' ? text.replaceAll(' ', '') : text, encoding))
}

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** Fails unless `act` throws a WireError. */
export function throwsWire(act: () => unknown, what: string): void {
  try {
    act()
  } catch (error) {
    assert.instance(error, WireError, `${what}: ${error}`)
    return
  }
  assert.unreachable(`${what} was taken`)
}

/** Returns what `act` does, or undefined when it throws a WireError; any other error passes through. */
export function onlyWireError<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch (error) {
    if (error instanceof WireError) return undefined
    throw error
  }
}
