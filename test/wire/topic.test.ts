import * as assert from 'uvu/assert'
import { isError } from '../../node/errors.ts'
import { limits } from '../../node/limits.ts'
import { parseTopic } from '../../node/wire/topic.ts'
import { suite } from '../helper/suite.ts'

const test = suite('wire/topic')

test('names of letters, digits, _ and - in levels are topics', () => {
  for (const name of ['a', 'orders.eu.created', 'A-b_9', '0', 'a.b.c.d', 'x'.repeat(limits.topicBytesMax)]) {
    assert.is(parseTopic(name), name)
  }
})

test('everything else is refused with the name in the error', () => {
  const wrong = ['', '.', '..', 'a..b', '.a', 'a.', 'a b', 'a/b', '../x', 'é', 'a\n', 'a\0', '*', 'a.*', '$x', 'a$']
  for (const name of [...wrong, 'x'.repeat(limits.topicBytesMax + 1)]) {
    try {
      parseTopic(name)
    } catch (error) {
      assert.ok(isError(error, 'InvalidTopic'), `${name}: ${error}`)
      assert.is(error.data.topic, name)
      assert.ok(error.message.length < 200)
      continue
    }
    assert.unreachable(`${JSON.stringify(name)} was taken`)
  }
})

test('what is not even a string is refused as well', () => {
  for (const name of [undefined, null, 5, {}, ['a']]) {
    assert.throws(
      () => parseTopic(name as unknown as string),
      (error: unknown) => isError(error, 'InvalidTopic'),
    )
  }
})

test('names beginning with $ are for Grapevine itself', () => {
  assert.is(parseTopic('$groups.billing', { own: true }), '$groups.billing')
  assert.is(parseTopic('orders', { own: true }), 'orders')
  for (const name of ['$', '$$a', '$.a', '$a..b', 'a.$b']) {
    assert.throws(
      () => parseTopic(name, { own: true }),
      (error: unknown) => isError(error, 'InvalidTopic'),
    )
  }
})

test.run()
