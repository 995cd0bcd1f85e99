/** What containerd is told, to the byte. The traps are those of facts/protocols.md §1.1. */
import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../../agent/config.ts'
import {
  directoriesMadeFor,
  directoryNames,
  fromDockerCertificates,
  hostsFile,
  isHostsFileOfShoal,
  parseHostsFile,
  mirrorUrl,
} from '../../../agent/containerd/hosts-file.ts'

const mirror = { url: 'https://127.0.0.1:5050', resolvesTags: true, secret: 'abc123' }
const head = `# Written by \`shoal configure\`, which overwrites changes; \`shoal cleanup\` puts back what was here before.
# Directories that were made for it: 0
`
const ours = `[host."https://127.0.0.1:5050"]
capabilities = [ "pull", "resolve" ]
dial_timeout = "200ms"
ca = "shoal-ca.pem"

[host."https://127.0.0.1:5050".header]
shoal-node-secret = "abc123"
`
const chained = (before: string): string => hostsFile(mirror, parseHostsFile(before), 0)

describe('the whole file', () => {
  test('without one before: the mirror, and no server, so that each image has its own registry behind it', () => {
    expect(chained('')).toBe(`${head}\n${ours}`)
  })

  test('plain HTTP has neither CA nor secret, and tags may stay with containerd', () => {
    expect(hostsFile({ url: 'http://127.0.0.1:5050', resolvesTags: false }, {}, 2)).toBe(
      `${head.replace(': 0', ': 2')}
[host."http://127.0.0.1:5050"]
capabilities = [ "pull" ]
dial_timeout = "200ms"
`,
    )
  })

  test('with only a server, which containerd 1.x ignores for want of a [host]: it counts from now on', () => {
    expect(chained('server = "https://mirror.corp"\n')).toBe(`${head}\nserver = "https://mirror.corp"\n\n${ours}`)
  })

  test('all that another had said of its server stays said of it, and not of the mirror', () => {
    const before = `server = "https://registry.corp"
capabilities = [ "pull" ]
ca = [ "corp.pem", "/etc/ssl/other.pem" ]
client = [ [ "a.cert", "a.key" ] ]
skip_verify = true
override_path = true
`
    const header = '\n[header]\nx-team = [ "lab", "two" ]\n'
    expect(chained(before + header)).toBe(`${head}\n${before}${header}\n${ours}`)
  })

  test('other mirrors follow in their order, with their keys', () => {
    const others = `
[host."https://z.mirror"]
capabilities = [ "pull" ]
ca = "z.pem"
client = [ [ "z.cert", "z.key" ] ]

[host."https://z.mirror".header]
authorization = "Basic eA=="

[host."http://a.mirror:5000/prefix"]
override_path = true
skip_verify = false
`
    expect(chained(others)).toBe(`${head}\n${ours}${others}`)
  })

  test('comments, dotted keys and inline tables lose their form and keep their meaning', () => {
    const before = `# mine
host."https://a.mirror" = { capabilities = ["pull"], header = { x-a = "b" } } # there`
    expect(parseHostsFile(chained(before))).toEqual({
      host: { ...(parseHostsFile(ours)['host'] as object), ...(parseHostsFile(before)['host'] as object) },
    })
  })
})

describe("an entry for the mirror's own port goes: a plain one would send credentials to whoever takes the port", () => {
  test.each([
    'http://127.0.0.1:5050',
    'https://127.0.0.1:5050',
    'http://localhost:5050',
    'http://[::1]:5050',
    '127.0.0.1:5050',
    'http://127.1.2.3:5050/v2',
  ])('%s', (url) => {
    expect(chained(`server = "${url}"\n[host."${url}"]\n`)).toBe(`${head}\n${ours}`)
  })

  test.each(['http://127.0.0.1:5051', 'http://10.0.0.7:5050', 'no url'])('%s stays', (url) => {
    expect(chained(`server = "${url}"\n[host."${url}"]\n`)).toBe(
      `${head}\nserver = "${url}"\n\n${ours}\n[host."${url}"]\n`,
    )
  })
})

test.each([
  ['host = "a"', '`host` is no table'],
  ['host = ["a"]', '`host` is no table'],
  ['server = "a', 'Invalid TOML document'],
  ['[host', 'Invalid TOML document'],
])('%j is no hosts file: %s', (before, complaint) => {
  expect(() => chained(before)).toThrow(complaint)
})

test("certificates in Docker's form, which containerd reads only where there is no file, move into it", () => {
  const names = ['b.crt', 'client.key', 'a.crt', 'client.cert', 'readme']
  expect(hostsFile(mirror, fromDockerCertificates(names), 0)).toBe(
    `${head}\nca = [ "a.crt", "b.crt" ]\nclient = [ [ "client.cert", "client.key" ] ]\n\n${ours}`,
  )
  expect(fromDockerCertificates([])).toEqual({})
})

test('a file is known for ours, with what was made for it', () => {
  const text = hostsFile(mirror, {}, 3)
  expect([isHostsFileOfShoal(text), directoriesMadeFor(text)]).toEqual([true, 3])
  expect([isHostsFileOfShoal(ours), directoriesMadeFor(ours)]).toEqual([false, 0])
})

/** `hostDirectory` of containerd's remotes/docker/config/hosts.go: it looks for the last colon, of whatever. */
test.each([
  ['docker.io', 'docker.io'],
  ['registry.corp:5000', 'registry.corp_5000_'],
  ['[fd00::7]:5000', '[fd00::7]_5000_'],
  ['[fd00::7]', '[fd00:_7]_'],
])('containerd looks for %s in %s first', (registry, first) => {
  expect(directoryNames(registry)).toEqual([first, registry])
})

test.each([
  ['127.0.0.1:5050', 'https', 'https://127.0.0.1:5050'],
  ['0.0.0.0:5050', 'http', 'http://127.0.0.1:5050'],
  ['[::]:5050', 'https', 'https://[::1]:5050'],
  ['10.0.0.7:30020', 'https', 'https://10.0.0.7:30020'],
])('a mirror that listens at %s with %s is called at %s', (mirrorListen, mirrorProtocol, url) => {
  expect(mirrorUrl(parseConfig({ standalone: true, mirrorListen, mirrorProtocol }))).toBe(url)
})
