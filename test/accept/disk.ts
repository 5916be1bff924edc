/** What every Disk must do; `make` gives one that is empty. */
import * as assert from 'uvu/assert'
import { limits } from '../../node/limits.ts'
import type { Disk } from '../../node/ports.ts'
import { random } from '../helper/random.ts'
import type { Suite, TestTools } from '../helper/suite.ts'

export function acceptDisk(test: Suite, name: string, make: (tools: TestTools) => Disk): void {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()
  const bytes = (value: string) => new Uint8Array(Buffer.from(value))

  test(`${name}: opening creates a file and its folders, and listing names them sorted`, async (tools) => {
    const disk = make(tools)
    assert.equal(await disk.list(''), [])
    assert.equal(await disk.list('no/such'), [])
    for (const path of ['b/two', 'a', 'b/one', 'b/deep/er/x']) await (await disk.open(path)).close()
    assert.equal(await disk.list(''), ['a', 'b'])
    assert.equal(await disk.list('b'), ['deep', 'one', 'two'])
  })

  test(`${name}: pieces are written one after the other and read back, short only at the end`, async (tools) => {
    const disk = make(tools)
    const file = tools.use(await disk.open('f'))
    await file.write([bytes('hello '), bytes(''), bytes('wide '), bytes('world')], 0)
    await file.write([bytes('W')], 11)
    await file.sync()
    assert.is(await file.size(), 16)
    const into = new Uint8Array(8)
    assert.is(await file.read(into, 6), 8)
    assert.is(text(into), 'wide Wor')
    assert.is(await file.read(into, 14), 2)
    assert.is(await file.read(into, 16), 0)
    assert.is(await file.read(into, 99), 0)
  })

  test(`${name}: many pieces of every size arrive whole`, async (tools) => {
    const disk = make(tools)
    const file = tools.use(await disk.open('f'))
    const pieces = Array.from({ length: 3_000 }, (_, i) => new Uint8Array((i * 37) % 9_000).fill(i))
    await file.write(pieces, 5)
    const all = new Uint8Array(await file.size())
    await file.read(all, 0)
    assert.ok(Buffer.concat([new Uint8Array(5), ...pieces]).equals(all))
  })

  test(`${name}: a gap that was never written reads as zeros, also after cutting and growing`, async (tools) => {
    const disk = make(tools)
    const file = tools.use(await disk.open('f'))
    await file.write([bytes('abcdef')], 0)
    await file.truncate(2)
    assert.is(await file.size(), 2)
    await file.write([bytes('z')], 5)
    const into = new Uint8Array(6)
    assert.is(await file.read(into, 0), 6)
    assert.is(text(into), 'ab\0\0\0z')
    await file.truncate(8)
    assert.is(await file.size(), 8)
  })

  test(`${name}: writes and cuts in any order and of any size leave what the last of them left, and no piece changed`, async (tools) => {
    const disk = make(tools)
    const file = tools.use(await disk.open('f'))
    const draw = random(7)
    const upTo = (max: number) => Math.floor(draw() * max)
    let model = Buffer.alloc(0)
    const written: { piece: Buffer; copy: Buffer }[] = []
    for (let i = 0; i < 200; i++) {
      const at = upTo(model.length + 2_000)
      if (draw() < 0.1) {
        await file.truncate(at)
        model = Buffer.concat([model.subarray(0, at), Buffer.alloc(Math.max(0, at - model.length))])
        continue
      }
      const position = draw() < 0.6 ? model.length : at
      const piece = Buffer.alloc(draw() < 0.5 ? upTo(300) : upTo(20_000), i)
      written.push({ piece, copy: Buffer.from(piece) })
      await file.write([piece], position)
      const grown = Buffer.concat([model, Buffer.alloc(Math.max(0, position + piece.length - model.length))])
      piece.copy(grown, position)
      model = piece.length === 0 ? model : grown
      assert.is(await file.size(), model.length)
      const part = new Uint8Array(upTo(30_000))
      const from = upTo(model.length)
      const read = await file.read(part, from)
      assert.ok(model.subarray(from, from + part.length).equals(part.subarray(0, read)), `after ${i} writes`)
    }
    for (const { piece, copy } of written) assert.ok(piece.equals(copy))
  })

  test(`${name}: two handles see one file; what was written is there after reopening`, async (tools) => {
    const disk = make(tools)
    const writer = await disk.open('d/f')
    const reader = tools.use(await disk.open('d/f'))
    await writer.write([bytes('seen')], 0)
    const into = new Uint8Array(4)
    assert.is(await reader.read(into, 0), 4)
    await writer.close()
    const again = tools.use(await disk.open('d/f'))
    assert.is(await again.size(), 4)
  })

  test(`${name}: of a file that grows only what was written is seen, until a crash leaves zeros behind it`, async (tools) => {
    const disk = make(tools)
    const file = await disk.open('g', { grows: true })
    let written = ''
    for (let i = 0; i < 200; i++) {
      const piece = `${i} ${'x'.repeat(i * 7)}\n`
      await file.write([bytes(piece)], written.length)
      written += piece
      assert.is(await file.size(), written.length)
      const into = new Uint8Array(piece.length + 100)
      assert.is(await file.read(into, written.length - piece.length), piece.length)
      assert.is(text(into.subarray(0, piece.length)), piece)
      // As one would find it after a crash now.
      const found = await disk.open('g')
      const all = new Uint8Array(await found.size())
      await found.read(all, 0)
      assert.is(text(all.subarray(0, written.length)), written)
      assert.ok(all.length - written.length <= limits.roomBytesMax)
      assert.ok(all.subarray(written.length).every((byte) => byte === 0))
      await found.close()
    }
    await file.truncate(5)
    assert.is(await file.size(), 5)
    await file.write([bytes('end')], 5)
    await file.close()
    const again = tools.use(await disk.open('g', { grows: true }))
    assert.is(await again.size(), 8)
    const into = new Uint8Array(9)
    assert.is(await again.read(into, 0), 8)
    assert.is(text(into.subarray(0, 8)), `${written.slice(0, 5)}end`)
  })

  test(`${name}: a removed file is gone, with a folder all in it, and removing nothing is no error`, async (tools) => {
    const disk = make(tools)
    for (const path of ['x/1', 'x/y/2', 'xz']) {
      const file = await disk.open(path)
      await file.write([bytes('old')], 0)
      await file.close()
    }
    await disk.remove('x/1')
    assert.equal(await disk.list('x'), ['y'])
    await disk.remove('x')
    await disk.remove('x')
    assert.equal(await disk.list(''), ['xz'])
    const anew = tools.use(await disk.open('x/1'))
    assert.is(await anew.size(), 0)
  })
}
