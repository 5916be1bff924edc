/** Bytes from outside that are not what they should be. Counted and scored where they came in; never reaches the application. */
export class WireError extends Error {
  override readonly name = 'WireError'
}
