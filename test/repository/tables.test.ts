/** What is described in one table is sorted, documented, and used by somebody. */
import { describe, expect, test } from 'vitest'
import { optionNames } from '../../agent/config.ts'
import { metricTable } from '../../agent/metrics.ts'
import { configureSchema } from '../../cli/configure/configure-options.ts'
import { findingCodes, findingTable } from '../../core/doctor/findings.ts'
import { errorTable, ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { filesOf, readText, unusedIn } from './sources.ts'

const product = filesOf('{core,agent,tracker,cli}/**/*.ts')
const allBut = (...files: string[]): string[] => product.filter((file) => !files.includes(file))

describe('errors', () => {
  const codes = Object.keys(errorTable)

  test('are sorted by code, and codes are capitals', () => {
    expect(codes).toEqual(codes.toSorted())
    expect(codes.filter((code) => !/^[A-Z]+(_[A-Z]+)+$/.test(code))).toEqual([])
  })

  test('are all thrown somewhere', () => {
    expect(unusedIn(codes, allBut('core/errors.ts'))).toEqual([])
  })

  test('say what to do, in sentences', () => {
    expect(Object.entries(errorTable).filter(([, { help }]) => !/^(\p{Lu}|containerd).{20,}\.$/su.test(help))).toEqual(
      [],
    )
  })

  test('never reach containerd as 408 or 429, nor as a redirect', () => {
    const statuses = Object.values(errorTable).map(({ status }): number => status)
    expect(statuses.filter((status) => status < 400 || status > 599 || status === 408 || status === 429)).toEqual([])
  })

  test('name flags that exist', () => {
    const flags = Object.values(errorTable).flatMap(({ help }) => help.match(/--[a-z-]+/g) ?? [])
    const known = [...optionNames, ...Object.keys(configureSchema.shape)].map(
      (name) => `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    )
    expect(flags.filter((flag) => flag !== '--help' && !known.includes(flag))).toEqual([])
  })

  test('carry code, detail, help and cause', () => {
    const cause = new Error('ENOSPC')
    const error = new ShoalError('DISK_FULL', '/var/lib/shoal has no room', { cause })
    expect(error).toMatchObject({ name: 'ShoalError', code: 'DISK_FULL', detail: '/var/lib/shoal has no room', cause })
    expect(error.message).toBe(`/var/lib/shoal has no room. ${errorTable.DISK_FULL.help}`)
    expect(error.spec).toBe(errorTable.DISK_FULL)
  })
})

describe('limits', () => {
  const lines = readText('core/limits.ts').split('\n')

  /** One comment may stand above a run of limits that belong together. */
  function hasReason(name: string): boolean {
    let above = lines.findIndex((line) => line.startsWith(`  ${name}:`)) - 1
    while (/^ {2}\w+:/.test(lines[above] ?? '')) above -= 1
    return lines[above]?.endsWith('*/') === true
  }

  test('have their reason right above', () => {
    expect(Object.keys(limits).filter((name) => !hasReason(name))).toEqual([])
  })

  test('are all read somewhere', () => {
    expect(unusedIn(Object.keys(limits), allBut('core/limits.ts'))).toEqual([])
  })

  test('are numbers that bound something', () => {
    expect(Object.entries(limits).filter(([, value]) => !(value > 0 && Number.isFinite(value)))).toEqual([])
  })
})

describe('findings of doctor', () => {
  test('are all judged somewhere, and each is in the table of a test', () => {
    expect(unusedIn(findingCodes, allBut('core/doctor/findings.ts'))).toEqual([])
    expect(unusedIn(findingCodes, filesOf('test/core/doctor/judge.test.ts'))).toEqual([])
  })

  test('say why and what to do, in sentences', () => {
    const wrong = Object.entries(findingTable).filter(
      ([, { why, fix }]) => !/^(\p{Lu}|containerd).{20,}\.$/su.test(why) || !/^\p{Lu}/u.test(fix),
    )
    expect(wrong).toEqual([])
  })
})

test('every option changes a behaviour', () => {
  expect(
    unusedIn(
      optionNames,
      filesOf('agent/**/*.ts', 'cli/program.ts', 'cli/agent-options.ts').filter((file) => file !== 'agent/config.ts'),
    ),
  ).toEqual([])
})

test('every metric is measured', () => {
  expect(unusedIn(Object.keys(metricTable), allBut('agent/metrics.ts'))).toEqual([])
})
