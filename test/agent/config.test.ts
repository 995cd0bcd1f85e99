import type { NetworkInterfaceInfo } from 'node:os'
import { expect, test } from 'vitest'
import { ownAddress, parseConfig } from '../../agent/config.ts'
import { formatHostPort } from '../../agent/config-values.ts'

const address = (text: string, internal = false) =>
  ({ address: text, family: text.includes(':') ? 'IPv6' : 'IPv4', internal }) as NetworkInterfaceInfo

test('what others dial is the listen address, else the first that leaves the host', () => {
  const interfaces = {
    lo: [address('127.0.0.1', true)],
    eth0: [address('fe80::1'), address('fd00::7'), address('10.0.0.7')],
  }
  expect(ownAddress('10.9.9.9', interfaces)).toBe('10.9.9.9')
  expect(ownAddress('0.0.0.0', interfaces)).toBe('10.0.0.7')
  expect(ownAddress('::', { lo: interfaces.lo, eth0: [address('fe80::1'), address('fd00::7')] })).toBe('fd00::7')
  expect(ownAddress('0.0.0.0', { nodelocaldns: [address('169.254.20.10')], ...interfaces })).toBe('10.0.0.7')
  expect(ownAddress('0.0.0.0', { eth0: [address('fd00::7'), address('169.254.3.4')] })).toBe('fd00::7')
  expect(ownAddress('0.0.0.0', { lo: interfaces.lo, eth0: [address('169.254.3.4')] })).toBe('127.0.0.1')
  expect(ownAddress('0.0.0.0', { lo: interfaces.lo })).toBe('127.0.0.1')
})

test('the options of a running agent do not change', () => {
  const config = parseConfig({ standalone: true, advertiseAddress: '10.0.0.7' })
  expect(Object.isFrozen(config)).toBe(true)
  expect(config.advertiseAddress).toBe('10.0.0.7')
})

test('names of failover policies are translated', () => {
  for (const [given, meant] of [
    ['deny', 'Deny'],
    ['granted', 'SameRepository'],
    ['open', 'Allow'],
    ['SameImage', 'SameImage'],
  ])
    expect(parseConfig({ standalone: true, originFailover: given }).originFailover).toBe(meant)
  const [origin] = parseConfig({ standalone: true, origins: [{ host: 'a.b', failover: 'granted' }] }).origins
  expect(origin?.failover).toBe('SameRepository')
})

test('a rule is by the canonical name of its registry, whichever it was given', () => {
  for (const [given, meant] of [
    ['reg.io:443/secret/**', 'reg.io/secret/**'],
    ['index.docker.io/team/*:v1', 'docker.io/team/*:v1'],
    ['registry-1.docker.io', 'docker.io'],
    ['[fd00:0::7]:5000/app', '[fd00::7]:5000/app'],
    ['*.corp:443', '*.corp'],
    ['reg.io:5000/app', 'reg.io:5000/app'],
    ['**/app', '**/app'],
  ]) {
    const rules = [`${given}=refuse`, { pattern: given, action: 'refuse' }]
    const rule = { pattern: meant, action: 'refuse' }
    expect(parseConfig({ standalone: true, rules }).rules).toEqual([rule, rule])
  }
})

test.each([{ originAccess: 'exchange' }, { origins: ['a.b', { host: 'c.d', access: 'exchange' }] }])(
  'passwords are asked for under TLS, or on loopback only: %j',
  (options) => {
    const given = { standalone: true, ...options }
    expect(() => parseConfig({ ...given, mirrorListen: '10.0.0.7:5050' })).not.toThrow()
    const listening = (mirrorListen: string) => () => parseConfig({ ...given, mirrorListen, mirrorProtocol: 'http' })
    for (const host of ['127.0.0.1', '127.3.2.1', '[::1]', 'localhost'])
      expect(listening(`${host}:5050`), host).not.toThrow()
    for (const host of ['0.0.0.0', '10.0.0.7', '[::]', 'mirror.local'])
      expect(listening(`${host}:5050`), host).toThrow(`put mirrorListen ${host}:5050 on loopback`)
  },
)

test.each(['a:0', 'a:99999', 'a..b', 'a-.b'])('%s is no registry, wherever it is named', (host) => {
  const fault = /: expected a registry host in lower case, as registry\.example\.com:5000\. /
  for (const options of [{ origins: [host] }, { origins: [{ host }] }, { defaultOrigin: host }])
    expect(() => parseConfig({ standalone: true, ...options }), JSON.stringify(options)).toThrow(fault)
})

test.each(['https://user:word@a.b/', 'https://a.b/?c', 'https://a.b/#c', 'https://a_b/'])(
  'the base URL of an origin is not %s, which would be refused at every pull',
  (baseUrl) => {
    const options = { standalone: true, origins: [{ host: 'a.b', baseUrl }] }
    expect(() => parseConfig(options)).toThrow('origins.0.baseUrl: expected a URL with a host and perhaps a path')
    expect(() => parseConfig(options)).not.toThrow('word')
  },
)

test.each([
  [{ advertiseAddress: '0.0.0.0' }, 'advertiseAddress 0.0.0.0 is no address under which others reach this node'],
  [{ advertiseAddress: '169.254.1.1' }, 'advertiseAddress 169.254.1.1 is no'],
  [{ peersListen: '[::0]:5051' }, 'advertiseAddress ::0 is no'],
  [{ peersListen: 'localhost:5051' }, 'peersListen localhost:5051 needs an IP address, as 0.0.0.0:5051'],
])('a member has an address that others reach: not %j', (options, fault) => {
  expect(() => parseConfig({ clusterSecretFile: '/secret', ...options })).toThrow(fault)
  expect(() => parseConfig({ standalone: true, ...options })).not.toThrow()
})

test('an address is written as it is read', () => {
  expect(formatHostPort({ host: '::1', port: 5052 })).toBe('[::1]:5052')
  expect(formatHostPort(parseConfig({ standalone: true }).mirrorListen)).toBe('127.0.0.1:5050')
})
