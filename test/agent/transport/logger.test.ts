import { expect, test } from 'vitest'
import { libp2pLogger } from '../../../agent/transport/logger.ts'

test("libp2p's errors are kept in words, the rest is dropped", () => {
  const lines: unknown[] = []
  const log = libp2pLogger({ warn: () => {}, debug: (fields, message) => lines.push([fields, message]) }).forComponent(
    'libp2p:tcp',
  )
  log('chatter %s', 1)
  log.trace('more %o', {})
  log.newScope('outbound').error('dial to %a failed after %d ms - %e', '/ip4/10.0.0.7', 5, new Error('refused'))
  expect(log.enabled).toBe(false)
  expect(lines).toEqual([[{ component: 'libp2p:tcp:outbound' }, 'dial to /ip4/10.0.0.7 failed after 5 ms - refused']])
})
