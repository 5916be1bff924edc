/**
 * Verified once in a world is verified. All peers of a simulation verify the same heads and cards, each for itself as it must; as
 * they share one process here, that was a twelfth of a run. Node's `verify` is a function of its arguments alone, so what it said
 * of the very same bytes under the very same key it would say again. Production knows nothing of this.
 */
import crypto, { KeyObject } from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'

type Verify = (algorithm: unknown, data: unknown, key: unknown, signature: unknown, ...rest: unknown[]) => unknown

/** Verdicts kept, some 500 B each. More: begun anew. */
const verdictsMax = 20_000

/** Replaces `verify` of node:crypto, also for those who have imported it already; returns how to give it back. */
export function rememberVerdicts(): () => void {
  const module = crypto as unknown as { verify: Verify }
  const real = module.verify
  module.verify = remembering(real)
  syncBuiltinESMExports()
  return () => {
    module.verify = real
    syncBuiltinESMExports()
  }
}

function remembering(real: Verify): Verify {
  const verdicts = new Map<string, unknown>()
  const names = new WeakMap<KeyObject, number>()
  let named = 0
  const nameOf = (key: KeyObject) => {
    const name = names.get(key) ?? named++
    names.set(key, name)
    return name
  }
  return (algorithm, data, key, signature, ...rest) => {
    const plain = algorithm === null && rest.length === 0 && key instanceof KeyObject
    if (!plain || !(data instanceof Uint8Array) || !(signature instanceof Uint8Array))
      return real(algorithm, data, key, signature, ...rest)
    const question = `${nameOf(key)} ${data.length} ${latin1(data)}${latin1(signature)}`
    const known = verdicts.get(question)
    if (known !== undefined) return known
    const verdict = real(algorithm, data, key, signature)
    if (verdicts.size >= verdictsMax) verdicts.clear()
    verdicts.set(question, verdict)
    return verdict
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
