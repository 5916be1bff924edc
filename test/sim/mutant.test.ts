/** The planted bugs can be planted: whether they are caught is what `npm run sim:mutants` says. */
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { mutants } from '../../sim/mutant/list.ts'
import { plant } from '../../sim/mutant/mutant.ts'
import { suite } from '../helper/suite.ts'

const test = suite('sim')
const root = join(import.meta.dirname, '../..')

test('there are at least 40 planted bugs, with names of their own', () => {
  assert.ok(mutants.length >= 40, `${mutants.length}`)
  assert.is(new Set(mutants.map(({ name }) => name)).size, mutants.length)
})

for (const mutant of mutants) {
  test(`${mutant.name} applies to the code as it is, once, and still parses`, () => {
    const text = readFileSync(join(root, mutant.file), 'utf8')
    const planted = plant(mutant, text)
    assert.is.not(planted, text)
    stripTypeScriptTypes(planted)
  })
}

test.run()
