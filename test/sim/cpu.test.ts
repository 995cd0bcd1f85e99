import { expect, it } from 'vitest'
import { limits } from '../../core/limits.ts'
import { costs, createCpu } from './cpu.ts'
import { createEngine } from './engine.ts'

it('what comes to a core passes those who wait for their turn', () => {
  const engine = createEngine()
  const cpu = createCpu(engine)
  const log: string[] = []
  for (const name of ['first', 'second']) cpu.workInTurn(costs.requestMs, () => log.push(name))
  engine.after(costs.requestMs / 2, () => cpu.work(costs.handshakeMs, () => log.push('handshake')))
  engine.run(1000, () => log.length === 3)
  expect(log).toEqual(['first', 'handshake', 'second'])
  expect(engine.clock.now()).toBeCloseTo(2 * costs.requestMs + costs.handshakeMs)
})

it('a host counts with the time that an answer takes', () => {
  expect(costs.requestMs).toBe(limits.announceCostMs)
})

it('a process that died has nothing to do when it is back', () => {
  const engine = createEngine()
  const cpu = createCpu(engine)
  const log: string[] = []
  for (const name of ['first', 'second']) cpu.workInTurn(costs.requestMs, () => log.push(name))
  cpu.reset()
  cpu.workInTurn(costs.requestMs, () => log.push('of its next life'))
  engine.run(Infinity, () => log.includes('of its next life'))
  engine.run(1000, () => false)
  expect(log).toEqual(['of its next life'])
})
