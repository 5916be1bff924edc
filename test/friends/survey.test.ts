import * as assert from 'uvu/assert'
import { encodeFriendFrame } from '../../node/friends/frame.ts'
import { type OnAnswer, Survey } from '../../node/friends/survey.ts'
import type { Link } from '../../node/host/link.ts'
import { limits } from '../../node/limits.ts'
import type { PeerId } from '../../node/types.ts'
import { peerIdOf, signingKeyOf } from '../../node/wire/key.ts'
import { handClock } from '../helper/clock.ts'
import { suite } from '../helper/suite.ts'
import { until } from '../helper/until.ts'
import { member, ports } from './member.ts'

const test = suite('friends/survey')

const bytesOf = (text: string) => Buffer.from(text)

test('everybody answers once, whoever it is passed on by', async ({ use }) => {
  const one = use(await member())
  const two = use(await member({ join: [one.host.addresses()[0] as string] }))
  const three = use(await member({ join: [two.host.addresses()[0] as string] }))
  const all = [one, two, three]
  await until(() => all.every((each) => each.friendIds().length === 2), 10_000)
  for (const each of all) each.friends.answer((question) => bytesOf(`${question} of ${each.id}`))
  const heard: string[] = []
  const stop = one.friends.ask(bytesOf('name'), (peer, answer) => heard.push(`${peer}: ${Buffer.from(answer)}`))
  await until(() => heard.length === 2)
  assert.equal(heard.sort(), [two, three].map(({ id }) => `${id}: name of ${id}`).sort())
  stop()
  one.friends.ask(bytesOf('again'), () => heard.push('again'))
  await until(() => heard.length === 4)
})

/** One survey, what it sends to each of its links, and a friend's key. */
function alone() {
  const clock = handClock()
  const sent: { to: string; bytes: Uint8Array }[] = []
  const link = (peer: string) =>
    ({
      peer: peer as PeerId,
      open: true,
      send: (bytes: Uint8Array) => sent.push({ to: peer, bytes }),
    }) as unknown as Link
  const [ann, ben] = [link('ann'), link('ben')]
  const key = signingKeyOf(new Uint8Array(32).fill(1))
  const survey = new Survey({ key, links: () => [ann, ben], clock, random: ports.random })
  const other = signingKeyOf(new Uint8Array(32).fill(2))
  const ask = (number: number, hops = 3) =>
    ({ type: 'ask', id: new Uint8Array(16).fill(number), hops, question: bytesOf('who?') }) as const
  const answerTo = (id: Uint8Array, text: string) => {
    const answer = new Uint8Array(bytesOf(text))
    const signature = other.sign(Buffer.concat([bytesOf('grapevine answer 1\n'), id, answer]))
    return { type: 'answer', id, key: other.publicKey, answer, signature } as const
  }
  return { clock, sent, ann, ben, survey, other: peerIdOf(other.publicKey), ask, answerTo }
}

test('a question goes on to the others once, and answers back the way it came', () => {
  const { survey, sent, ann, ben, ask, answerTo } = alone()
  const question = ask(1)
  survey.onAsk(ann, question)
  survey.onAsk(ben, question)
  assert.equal(sent.splice(0), [{ to: 'ben', bytes: encodeFriendFrame({ ...question, hops: 2 }) }])
  const answer = answerTo(question.id, 'me')
  survey.onAnswer(ann, answer)
  assert.equal(sent, [], 'nobody answers a question by the way it came')
  survey.onAnswer(ben, answer)
  assert.equal(sent.splice(0), [{ to: 'ann', bytes: encodeFriendFrame(answer) }])
  survey.onAsk(ann, ask(2, 1))
  survey.onAsk(ann, ask(3, 2 ** 40))
  assert.equal(sent, [{ to: 'ben', bytes: encodeFriendFrame(ask(3, limits.surveyHopsMax - 1)) }])
})

test('what is not signed by its peer is an offence, what nobody asked for and what comes late is not', () => {
  const { survey, sent, ann, clock, other, answerTo } = alone()
  const heard: string[] = []
  const onAnswer: OnAnswer = (peer, answer) => heard.push(`${peer} ${Buffer.from(answer)}`)
  const idOf = () => new Uint8Array((sent[0] as { bytes: Uint8Array }).bytes.subarray(4, 20))
  survey.ask(bytesOf('who?'), onAnswer)
  const id = idOf()
  const good = answerTo(id, 'me')
  assert.throws(() => survey.onAnswer(ann, { ...good, answer: bytesOf('you') }), /not signed/)
  survey.onAnswer(ann, answerTo(new Uint8Array(16), 'unasked'))
  survey.onAnswer(ann, good)
  survey.onAnswer(ann, answerTo(id, 'twice'))
  assert.equal(heard, [`${other} me`])
  sent.length = 0
  survey.ask(bytesOf('and now?'), onAnswer)
  const late = answerTo(idOf(), 'late')
  clock.pass(limits.surveyMs + 1)
  survey.onAnswer(ann, late)
  assert.is(heard.length, 1)
})

test('a wrong answer is not passed on, so that nobody is blamed for another', () => {
  const { survey, sent, ann, ben, ask, answerTo } = alone()
  survey.onAsk(ann, ask(1))
  sent.length = 0
  const forged = { ...answerTo(ask(1).id, 'me'), answer: bytesOf('you') }
  assert.throws(() => survey.onAnswer(ben, forged), /not signed/)
  assert.equal(sent, [])
})

test('who fails to answer says nothing, and who has enough to read is sent nothing more', async () => {
  const { survey, sent, ann, ask } = alone()
  survey.answering = () => Promise.reject(new Error('the disk failed'))
  survey.onAsk(ann, ask(1))
  await new Promise((resolve) => setImmediate(resolve))
  assert.is(sent.splice(0).length, 1, 'it was passed on')
  const drained = Promise.withResolvers<void>()
  Object.assign(ann, { send: (bytes: Uint8Array) => !sent.push({ to: 'ann', bytes }), writable: () => drained.promise })
  survey.ask(bytesOf('one'), () => undefined)
  survey.ask(bytesOf('two'), () => undefined)
  assert.equal(
    sent.splice(0).map(({ to }) => to),
    ['ann', 'ben', 'ben'],
  )
  drained.resolve()
  await drained.promise
  await undefined
  survey.ask(bytesOf('three'), () => undefined)
  assert.is(sent.length, 2)
})

test('a flood is bounded: of questions, and of answers to one', () => {
  const { survey, sent, ann, ben, ask, answerTo, clock } = alone()
  for (let i = 0; i < 100; i++) survey.onAsk(ann, ask(i))
  assert.is(sent.splice(0).length, limits.surveysPerSecond)
  clock.pass(1_000)
  survey.onAsk(ann, ask(200))
  assert.is(sent.splice(0).length, 1)
  const answer = answerTo(ask(200).id, 'me')
  for (let i = 0; i < limits.surveyAnswersMax + 10; i++) survey.onAnswer(ben, answer)
  assert.is(sent.length, limits.surveyAnswersMax)
})

test.run()
