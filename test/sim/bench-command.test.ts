import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { benchCases } from './bench-cases.ts'
import { chosenOf } from './bench-command.ts'
import type { BenchRow } from './bench.ts'

const cases = benchCases()
const script = `${import.meta.dirname}/main.ts`

function sim(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, [script, ...args])
}

describe('the cases of a bench', () => {
  it('are all of them without a flag', () => {
    expect(chosenOf(cases, {})).toEqual(cases)
  })

  it('are those that have one of the values of each flag', () => {
    const chosen = chosenOf(cases, { nodes: ['100', '1000'], imageMb: ['1000'], layers: ['1'], start: ['warm'] })
    expect(chosen.map(({ nodes }) => nodes)).toEqual([100, 1000])
    expect(chosen.every(({ layerBytes, start }) => layerBytes[0] === 1e9 && start === 'warm')).toBe(true)
  })

  it('are never none: the error names the flag, and what there is', () => {
    expect(() => chosenOf(cases, { nodes: ['100'], layers: ['7'] })).toThrow(
      'no case has --layers 7; those that the flags before it leave have 1, 10',
    )
  })
})

describe('npm run sim --', () => {
  it.each([
    ['--bench', '--node', '--image-mb <values>'],
    ['--fuzz', '--minute', '--minutes <minutes>'],
    ['--nodes', '--traces', '--trace'],
  ])('%s %s is refused by name, with what exists', async (command, wrong, known) => {
    const args = command === '--nodes' ? [command, '3', wrong] : [command, wrong]
    const failure = expect.objectContaining({ code: 2, stderr: expect.stringContaining(`unknown option '${wrong}'`) })
    await expect(sim(...args)).rejects.toEqual(failure)
    await expect(sim(...args)).rejects.toEqual(expect.objectContaining({ stderr: expect.stringContaining(known) }))
  })

  it('--bench prints a row for each case, from a worker each', async () => {
    const { stdout } = await sim('--bench', '--nodes', '16', '--json')
    const rows = JSON.parse(stdout) as BenchRow[]
    expect(rows).toMatchObject([{ nodes: 16, layers: 5, start: 'cold', strategy: 'shipped' }])
    for (const { hosts_max_over_bound: ofHosts, max_over_bound: ofAll } of rows) {
      expect(ofHosts).toBeGreaterThan(1)
      expect(ofHosts).toBeLessThanOrEqual(ofAll)
    }
  })
})
