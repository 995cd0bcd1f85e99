import { expect, it } from 'vitest'
import { GiB } from '../../core/units.ts'
import { benchCases } from './bench-cases.ts'
import { cpuMsOf, memoryBytesOf, sideBySide } from './bench-needs.ts'
import { runCases } from './bench-pool.ts'

const cases = benchCases()
const [small] = cases as [(typeof cases)[0]]
const large = cases.filter(({ nodes }) => nodes === 10_000)

it('as many cases run at a time as are wanted and find memory, and always one', () => {
  expect(sideBySide(cases, 2, 24 * GiB)).toBe(2)
  expect(sideBySide(large, 2, 8 * GiB)).toBe(1)
  expect(sideBySide(large, 2, 1 * GiB)).toBe(1)
  expect(sideBySide([small], 2, 24 * GiB)).toBe(1)
})

it('what a case is said to take is what it took: 10,000 nodes with 100 MB half an hour and 4.9 GB', () => {
  const [cold] = large as [(typeof large)[0]]
  expect(memoryBytesOf(cold) / 1e9).toBeCloseTo(4.9, 0)
  expect(cpuMsOf(cold) / 60_000).toBeGreaterThan(15)
  expect(cpuMsOf(cold) / 60_000).toBeLessThan(60)
})

it('a case that fails is named, and the others give their rows', async () => {
  const tooLarge = { ...small, layerBytes: [2 ** 60] }
  const said: string[] = []
  const { failures, rows } = await runCases([tooLarge, { ...small, nodes: 2 }], {
    seed: '1',
    workers: 2,
    say: (line) => said.push(line),
  })
  expect(rows).toMatchObject([{ nodes: 2 }])
  expect(failures).toEqual([expect.stringContaining('1 of 2 (16 nodes, ')])
  expect(said[0]).toContain('2 cases, 1 at a time: about ')
})
