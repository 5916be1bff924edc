/** A running hash over what happens in a run, cheap enough to take in every event: two runs with one hash were the same. */
export class Trace {
  #a = 0x9e3779b9
  #b = 0x85ebca6b
  readonly #view = new DataView(new ArrayBuffer(8))
  events = 0

  mix(value: number): void {
    this.events++
    this.#view.setFloat64(0, value)
    this.#word(this.#view.getUint32(0))
    this.#word(this.#view.getUint32(4))
  }

  text(value: string): void {
    this.events++
    for (let i = 0; i < value.length; i++) this.#word(value.charCodeAt(i))
  }

  /** 16 hex digits. */
  digest(): string {
    return [this.#a, this.#b].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
  }

  #word(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x01000193)
    this.#a = (this.#a << 13) | (this.#a >>> 19)
    this.#b = Math.imul(this.#b ^ this.#a, 0xc2b2ae35)
    this.#b ^= this.#b >>> 15
  }
}
