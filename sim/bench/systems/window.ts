/** Calls `act` with so many values at once, and with the next ones when all of these are done. */
export async function inWindows(
  values: readonly Uint8Array[],
  size: number,
  act: (value: Uint8Array) => Promise<unknown>,
): Promise<void> {
  for (let from = 0; from < values.length; from += size) await Promise.all(values.slice(from, from + size).map(act))
}
