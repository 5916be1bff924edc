/** Requests through the local API of a real peer. */
import * as assert from 'uvu/assert'
import { connectPeer, isError, startGateway } from '../../node/index.ts'
import { peerOf } from '../helper/mesh.ts'
import { suite } from '../helper/suite.ts'

const test = suite('gateway')

const codeOf = (act: Promise<unknown>) =>
  act.then(
    () => 'done',
    (error) => (isError(error) ? error.code : String(error)),
  )

test(
  'requests are asked and answered through the local API, and a responder that is gone is replaced',
  async ({ use }) => {
    const peer = await peerOf(use)
    const gateway = use(await startGateway({ peer }))
    const connect = async () => use(await connectPeer({ api: gateway.address, token: gateway.token }))
    const [asker, one, other] = [await connect(), await connect(), await connect()]
    assert.is(await codeOf(asker.request('double', 1)), 'NoResponders')
    let begun = 0
    one.topic<number>('double').respond(
      () =>
        new Promise(() => {
          begun++
        }),
      { concurrency: 1 },
    )
    const first = (async () => {
      for (;;) {
        const answer = await asker.request<number>('double', 21, { timeoutMs: 20_000 }).catch((error) => {
          if (!isError(error, 'NoResponders')) throw error
        })
        if (answer !== undefined) return answer
      }
    })()
    while (begun === 0) await new Promise((resolve) => setTimeout(resolve, 20))
    const responder = other.topic<number>('double').respond(async (value, { headers }) => {
      if (value < 0) throw new Error('it is negative')
      return 2 * value + Number(headers.plus ?? 0)
    })
    await one.close()
    assert.is(await first, 42)
    assert.is(await asker.request('double', 1, { headers: { plus: '5' } }), 7)
    assert.is(await codeOf(asker.request('double', -1)), 'RequestFailed')
    assert.is(await codeOf(asker.request('double', 1, { timeoutMs: -1 })), 'InvalidOption')
    await responder.close()
    await asker.close()
    assert.is(await codeOf(asker.request('double', 1)), 'PeerClosed')
  },
  { deadlineMs: 60_000 },
)

test.run()
