import { expect, it } from 'vitest'
import { createEpochs } from '../../../agent/cluster/epochs.ts'
import { limits } from '../../../core/limits.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

it('takes each nonce once', () => {
  const epochs = createEpochs(virtualClock())
  const token = epochs.current()
  expect(epochs.admit(token, 'a')).toBe('fresh')
  expect(epochs.admit(token, 'b')).toBe('fresh')
  expect(epochs.admit(token, 'a')).toBe('replayed')
})

it('takes the newest token and the one before, whose nonces it still knows', () => {
  const clock = virtualClock()
  const epochs = createEpochs(clock)
  const first = epochs.current()
  epochs.admit(first, 'a')
  clock.advance(60_000)
  const second = epochs.current()
  expect(second).not.toBe(first)
  expect(epochs.admit(first, 'b')).toBe('fresh')
  expect(epochs.admit(first, 'a')).toBe('replayed')
  clock.advance(60_000)
  epochs.current()
  expect(epochs.admit(first, 'c')).toBe('stale')
  expect(epochs.admit(second, 'c')).toBe('fresh')
})

it('takes no token that is older than two minutes, however quiet it was', () => {
  const clock = virtualClock()
  const epochs = createEpochs(clock)
  const first = epochs.current()
  clock.advance(120_000)
  expect(epochs.admit(first, 'a')).toBe('stale')
})

it('takes no token of another boot, and none at all', () => {
  const epochs = createEpochs(virtualClock())
  expect(epochs.admit(createEpochs(virtualClock()).current(), 'a')).toBe('stale')
  expect(epochs.admit('', 'a')).toBe('stale')
})

it('keeps a bounded number of nonces by starting a new epoch', () => {
  const epochs = createEpochs(virtualClock())
  const token = epochs.current()
  for (let count = 0; count < limits.noncesPerEpoch; count++) epochs.admit(token, `${count}`)
  expect(epochs.current()).not.toBe(token)
  expect(epochs.admit(token, '0')).toBe('stale')
  expect(epochs.admit(token, 'new')).toBe('stale')
})
