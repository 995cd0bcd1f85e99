import { expect, test } from 'vitest'
import { createPolicies, standardPolicy } from '../../../agent/access/policy.ts'
import { parseConfig } from '../../../agent/config.ts'
import { hour } from '../../../core/units.ts'

function policiesOf(options: object) {
  const config = parseConfig({ standalone: true, ...options })
  return createPolicies(config.origins, standardPolicy(config))
}

test('without a word the registry decides, a yes counts for its repository, and no credential counts in an outage', () => {
  expect(policiesOf({})('docker.io')).toEqual({
    access: 'origin',
    enforcement: 'NewRepository',
    failover: 'Deny',
    failoverMs: 24 * hour,
  })
})

test('an origin has what its entry says, and for the rest what holds for all', () => {
  const policyOf = policiesOf({
    originAccess: 'anonymous-only',
    originEnforcement: 'Every',
    originFailover: 'granted',
    originFailoverMs: '4h',
    origins: [
      'a.b',
      { host: 'c.d:443', access: 'origin', failoverMs: 0 },
      { host: 'index.docker.io', failover: 'SameImage' },
    ],
  })
  const standard = { access: 'anonymous-only', enforcement: 'Every', failover: 'SameRepository', failoverMs: 4 * hour }
  expect(policyOf('unlisted.io')).toEqual(standard)
  expect(policyOf('a.b')).toEqual(standard)
  expect(policyOf('c.d')).toEqual({ ...standard, access: 'origin', failoverMs: 0 })
  expect(policyOf('docker.io')).toEqual({ ...standard, failover: 'SameImage' })
})
