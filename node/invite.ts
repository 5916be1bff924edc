/** An invite: the addresses of a mesh's peers and its secret in one string, `gv1-` and base64url of JSON. */
import { z } from 'zod'
import { GrapevineError } from './errors.ts'
import { limits } from './limits.ts'

export interface Invite {
  /** Multiaddrs, where possible naming their peer. */
  addresses: string[]
  /** The mesh secret; empty for a mesh without one. */
  secret: string
}

const prefix = 'gv1-'
const shape = z.object({
  a: z.array(z.string()).min(1).max(limits.addressesPerCardMax),
  s: z.string(),
})

export function encodeInvite({ addresses, secret }: Invite): string {
  const json = JSON.stringify({ a: addresses.slice(0, limits.addressesPerCardMax), s: secret })
  return prefix + Buffer.from(json).toString('base64url')
}

/** Undefined for text that does not begin as an invite; throws `InvalidOption` for one that is cut or garbled. */
export function decodeInvite(text: string): Invite | undefined {
  if (!text.startsWith(prefix)) return undefined
  try {
    const { a, s } = shape.parse(JSON.parse(Buffer.from(text.slice(prefix.length), 'base64url').toString()))
    return { addresses: a, secret: s }
  } catch (error) {
    throw new GrapevineError(
      'InvalidOption',
      'option `join` has an invite that is incomplete: copy all of it',
      { option: 'join' },
      error,
    )
  }
}
