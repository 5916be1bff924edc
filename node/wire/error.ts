/** Bytes from outside that are not what they should be. Counted and scored where they came in; never reaches the application. */
export class WireError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'WireError'
  }
}
