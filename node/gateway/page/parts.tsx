/** What all views are made of. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'

export function Table({ label, heads, children }: { label: string; heads: string[]; children: ComponentChildren }) {
  return (
    // Wide tables are moved sideways by themselves, also with the keyboard.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls has to be reached
    <section class="table" aria-label={label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {heads.map((head) => (
              <th scope="col" key={head}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  )
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>
}

/** A button that does something that takes a while, and says what came of it. */
export function Act({ label, act }: { label: string; act: () => Promise<string> }) {
  const [said, say] = useState('')
  const [isBusy, setBusy] = useState(false)
  const click = async () => {
    setBusy(true)
    say(await act().catch((error: unknown) => (error instanceof Error ? error.message : String(error))))
    setBusy(false)
  }
  return (
    <span class="act">
      <button type="button" onClick={click} disabled={isBusy}>
        {label}
      </button>
      <output>{said}</output>
    </span>
  )
}
