import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, test } from 'vitest'
import { advertised, isDialable, targetsOf, tcpAddress } from '../../../agent/transport/addresses.ts'
import { limits } from '../../../core/limits.ts'
import { peerIdOf } from '../../../core/wire/peer-id.ts'

const peer = peerIdOf(new Uint8Array(32).fill(1))
const other = peerIdOf(new Uint8Array(32).fill(2))

describe('addresses that we dial', () => {
  test.each([
    '/ip4/10.0.0.7/tcp/5051',
    '/ip4/127.0.0.1/tcp/5051',
    '/ip6/fd00::7/tcp/5051',
    '/dns4/node-7.example/tcp/5051',
    `/ip4/10.0.0.7/tcp/5051/p2p/${peer}`,
  ])('%s', (text) => {
    expect(isDialable(multiaddr(text))).toBe(true)
    expect(targetsOf(peer, [text]).map(String)).toEqual([text.replace(/\/p2p\/.*/, '') + `/p2p/${peer}`])
  })
})

describe('addresses that we do not dial, whoever names them', () => {
  test.each([
    '/ip4/169.254.169.254/tcp/80',
    '/ip6/fe80::1/tcp/80',
    '/ip6/::ffff:169.254.169.254/tcp/80',
    '/ip4/0.0.0.0/tcp/5051',
    '/ip4/224.0.0.1/tcp/5051',
    '/ip4/255.255.255.255/tcp/5051',
    '/ip4/10.0.0.7/udp/5051/quic-v1',
    '/ip4/10.0.0.7/tcp/5051/ws',
    '/unix/%2Frun%2Fcontainerd%2Fcontainerd.sock',
    '/dnsaddr/bootstrap.libp2p.io',
    `/ip4/10.0.0.7/tcp/5051/p2p/${other}/p2p-circuit`,
    `/p2p/${peer}`,
  ])('%s', (text) => {
    expect(isDialable(multiaddr(text))).toBe(false)
    expect(targetsOf(peer, [text])).toEqual([])
  })
})

test('an address of another peer, or of no form at all, is left out', () => {
  const good = '/ip4/10.0.0.7/tcp/5051'
  expect(targetsOf(peer, ['', '/', 'http://10.0.0.7', `${good}/p2p/${other}`, good]).map(String)).toEqual([
    `${good}/p2p/${peer}`,
  ])
})

test('a peer with many addresses is tried at the first few', () => {
  const many = Array.from({ length: 50 }, (_, host) => `/ip4/10.0.0.${host + 1}/tcp/5051`)
  expect(targetsOf(peer, many)).toHaveLength(limits.peerAddressesMax)
})

test('what others are told is the advertised address with the port that was given', () => {
  const listening = ['/ip4/127.0.0.1/tcp/40123', '/ip4/10.0.0.7/tcp/40123'].map((text) => multiaddr(text))
  expect(advertised(listening, '10.0.0.7').map(String)).toEqual(['/ip4/10.0.0.7/tcp/40123'])
  expect(advertised(listening, 'fd00::7').map(String)).toEqual(['/ip6/fd00::7/tcp/40123'])
  expect(tcpAddress('::', 5051)).toBe('/ip6/::/tcp/5051')
})
