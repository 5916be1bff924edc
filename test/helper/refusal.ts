/** What an act is refused with: its `GrapevineError`. Throws where it is taken, and what else it throws. */
import { type GrapevineError, isError } from '../../node/index.ts'

export async function refusal(act: Promise<unknown>): Promise<GrapevineError> {
  try {
    await act
  } catch (error) {
    if (isError(error)) return error
    throw error
  }
  throw new Error('it was taken')
}
