import { expect, test } from 'vitest'
import { blocksPulls, finding, findingCodes, sortFindings } from '../../../core/doctor/findings.ts'

test('a finding has the paths of this node in what it says and in its fix', () => {
  const found = finding('HOSTS_INVALID', { file: '/certs.d/a/hosts.toml', reason: 'x', flags: '--data-dir /d' })
  expect(found).toMatchObject({
    code: 'HOSTS_INVALID',
    severity: 'error',
    what: '/certs.d/a/hosts.toml is no hosts file: x',
    fix: expect.stringContaining(
      '    mv /certs.d/a/hosts.toml /certs.d/a/hosts.toml.broken\n    shoal configure --data-dir /d',
    ),
  })
  expect(blocksPulls(found)).toBe(true)
})

test('findings come worst first, and each once', () => {
  const [info, warning] = [finding('CONTAINERD_VERSION_UNKNOWN', {}), finding('SECRETS_READABLE', { files: '/a' })]
  const error = finding('AGENT_NOT_READY', { address: 'a', reason: 'b' })
  expect(sortFindings([info, warning, error, { ...warning }])).toEqual([error, warning, info])
  expect(blocksPulls(error)).toBe(false)
})

test('codes are sorted', () => {
  expect(findingCodes).toEqual(findingCodes.toSorted())
})
