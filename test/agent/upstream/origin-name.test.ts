import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseOrigin, repositoryAt } from '../../../agent/upstream/origin-name.ts'

describe('one registry has one name', () => {
  test.each([
    ['registry.example.com', 'registry.example.com'],
    ['Registry.Example.COM', 'registry.example.com'],
    ['registry.example.com.', 'registry.example.com'],
    ['registry.example.com:443', 'registry.example.com'],
    ['registry.example.com.:443', 'registry.example.com'],
    ['registry.example.com:5000', 'registry.example.com:5000'],
    ['registry.example.com:80', 'registry.example.com:80'],
    ['localhost:5000', 'localhost:5000'],
    ['registry', 'registry'],
    ['xn--rksmrgs-5wao1o.example', 'xn--rksmrgs-5wao1o.example'],
    ['docker.io', 'docker.io'],
    ['index.docker.io', 'docker.io'],
    ['registry-1.docker.io:443', 'docker.io'],
    ['127.0.0.1:5000', '127.0.0.1:5000'],
    ['2130706433', '127.0.0.1'],
    ['0x7f000001', '127.0.0.1'],
    ['0177.0.0.1', '127.0.0.1'],
    ['127.1', '127.0.0.1'],
    ['0x7f.1', '127.0.0.1'],
    ['10.0.0.1.', '10.0.0.1'],
    ['[::1]:5000', '[::1]:5000'],
    ['[0:0:0:0:0:0:0:1]', '[::1]'],
    ['[::FFFF:127.0.0.1]:5000', '127.0.0.1:5000'],
    ['[::ffff:7f00:1]', '127.0.0.1'],
  ])('%s is %s', (text, name) => {
    expect(parseOrigin(text)?.text).toBe(name)
  })

  test('a name parsed again is itself', () => {
    const host = fc.oneof(
      fc.domain(),
      fc.ipV4(),
      fc.ipV6().map((ip) => `[${ip}]`),
    )
    const names = fc.tuple(host, fc.option(fc.integer({ min: 1, max: 65_535 })))
    const isStable = fc.property(names, ([name, port]) => {
      const once = parseOrigin(port === null ? name : `${name}:${port}`)?.text ?? 'none'
      return parseOrigin(once)?.text === once
    })
    expect(fc.check(isStable)).toMatchObject({ failed: false })
  })
})

describe('what is no registry host', () => {
  test.each([
    '',
    '.',
    '..',
    'a..b',
    '.example.com',
    '-a.example',
    'a-.example',
    'registry.example.com..',
    'user@registry.example.com',
    'user:secret@registry.example.com',
    'registry.example.com/path',
    'registry.example.com?x',
    'registry.example.com#x',
    'http://registry.example.com',
    'registry.example.com:',
    'registry.example.com:0',
    'registry.example.com:05000',
    'registry.example.com:65536',
    'registry.example.com:5000:5000',
    'registry.example.com\r\nhost: evil',
    'registry.example.com ',
    ' registry.example.com',
    'registry%2eexample.com',
    'reg\u0131stry.example.com',
    'registry\u3002example.com',
    'registry_1.example.com',
    `${'a'.repeat(64)}.example.com`,
    `${'a.'.repeat(127)}example`,
    '256.256.256.256',
    '1.2.3.4.5',
    '4294967296',
    'example.0x71',
    'foo.1',
    '::1',
    '[::1',
    '[::1%eth0]',
    '[fe80::1%25eth0]',
    '[registry.example.com]',
    '[1.2.3.4]',
    '\0',
  ])('%j', (text) => {
    expect(parseOrigin(text)).toBeUndefined()
  })

  test('no text at all makes it throw, or passes as it is not', () => {
    const isPlain = fc.property(fc.string({ unit: 'binary' }), (text) =>
      /^[a-z0-9.:[\]-]*$/.test(parseOrigin(text)?.text ?? ''),
    )
    expect(fc.check(isPlain)).toMatchObject({ failed: false })
  })
})

test('official images of Docker Hub live below library/', () => {
  expect(repositoryAt('docker.io', 'alpine')).toBe('library/alpine')
  expect(repositoryAt('docker.io', 'team/app')).toBe('team/app')
  expect(repositoryAt('registry.example.com', 'alpine')).toBe('alpine')
})
