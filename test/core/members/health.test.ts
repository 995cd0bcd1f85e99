import { expect, it } from 'vitest'
import { createHealth } from '../../../core/members/health.ts'

function after(answers: string): ReturnType<typeof createHealth> {
  const health = createHealth()
  for (const answer of answers) {
    if (answer === '.') health.inTime()
    else health.late()
  }
  return health
}

it('two late answers in a row, or one in five, change nothing', () => {
  for (const answers of ['x', '....xx', 'x....x....x....x']) {
    expect(after(answers).patience()).toBe(1)
    expect(after(answers).doubtsItself()).toBe(false)
  }
})

it('where more are late others get more time, and where most are this agent doubts itself', () => {
  expect(after('x.x.x.x.x.x.x.x.').patience()).toBeGreaterThan(1.5)
  expect(after('x.x.x.x.x.x.x.x.').doubtsItself()).toBe(false)
  expect(after('xxxxxx').doubtsItself()).toBe(true)
  expect(after('x'.repeat(100)).patience()).toBeCloseTo(4)
})

it('what is in time for eight answers or so makes up for it', () => {
  expect(after(`${'x'.repeat(100)}${'.'.repeat(6)}`).doubtsItself()).toBe(false)
  expect(after(`${'x'.repeat(100)}${'.'.repeat(11)}`).patience()).toBe(1)
})
