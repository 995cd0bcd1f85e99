import { expect, it } from 'vitest'
import { abortConnection } from '../../../agent/transport/abort.ts'

it.each([
  ['that is open', false, 1],
  ['that the other side has just ended, whose muxer says goodbye in vain', true, 2],
])('a connection %s is ended, and nothing thrown', (_what, throws, times) => {
  const errors: Error[] = []
  const abort = (error: Error): void => {
    errors.push(error)
    if (throws && errors.length === 1) throw new Error('Cannot write to a stream that is closed')
  }
  abortConnection({ abort }, 'the link has ended')
  expect(errors.map(({ message }) => message)).toEqual(Array.from({ length: times }, () => 'the link has ended'))
})
