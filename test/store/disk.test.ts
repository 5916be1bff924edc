import { systemDisk } from '../../node/store/disk.ts'
import { memoryDisk } from '../../node/store/memory.ts'
import { acceptDisk } from '../accept/disk.ts'
import { suite } from '../helper/suite.ts'

const test = suite('store')

acceptDisk(test, 'the real disk', ({ dir }) => systemDisk(dir()))
acceptDisk(test, 'the disk in memory', () => memoryDisk())

test.run()
