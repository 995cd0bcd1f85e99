import { describe, expect, test } from 'vitest'
import {
  imageText,
  isForImage,
  matchesImage,
  parseImagePattern,
  parseRegistryKey,
} from '../../../agent/credentials/image-pattern.ts'
import { parseOrigin } from '../../../agent/upstream/origin-name.ts'

/** `host[:port]/repository` as a request names it. */
function image(text: string) {
  const slash = text.indexOf('/')
  const origin = parseOrigin(text.slice(0, slash))?.text
  if (origin === undefined) throw new TypeError(`not an image: ${text}`)
  return { origin, repository: text.slice(slash + 1) }
}

function matches(pattern: string, text: string): boolean | undefined {
  const parsed = parseImagePattern(pattern)
  return parsed && matchesImage(parsed, image(text))
}

function isFor(key: string, text: string): boolean | undefined {
  const parsed = parseRegistryKey(key)
  return parsed && isForImage(parsed, image(text))
}

describe('matchImages', () => {
  // kubernetes/kubernetes, pkg/credentialprovider/keyring_test.go, TestURLsMatch; an image has a path always.
  test.each([
    ['*.kubernetes.io', 'prefix.kubernetes.io/app', true],
    ['prefix.*.io', 'prefix.kubernetes.io/app', true],
    ['prefix.kubernetes.*', 'prefix.kubernetes.io/app', true],
    ['*-good.kubernetes.io', 'prefix-good.kubernetes.io/app', true],
    ['*.kubernetes.io/blah', 'prefix.kubernetes.io/blah', true],
    ['prefix.*.io/foo', 'prefix.kubernetes.io/foo/bar', true],
    ['*.kubernetes.io:1111/blah', 'prefix.kubernetes.io:1111/blah', true],
    ['prefix.*.io:1111/foo', 'prefix.kubernetes.io:1111/foo/bar', true],
    ['*.kubernetes.io', 'kubernetes.io/app', false],
    ['*.*.kubernetes.io', 'prefix.kubernetes.io/app', false],
    ['*.*.kubernetes.io', 'kubernetes.io/app', false],
    ['kubernetes.io', 'kubernetes.com/app', false],
    ['k*.io', 'quay.io/app', false],
    ['*.kubernetes.io:1234/blah', 'prefix.kubernetes.io:1111/blah', false],
    ['prefix.*.io/foo', 'prefix.kubernetes.io:1111/foo/bar', false],
  ])('%s, %s: %j, as the tests of Kubernetes have it', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected)
  })

  // kubernetes.io, "Configure a kubelet image credential provider", "Configure image matching".
  test.each([
    ['123456789.dkr.ecr.us-east-1.amazonaws.com', '123456789.dkr.ecr.us-east-1.amazonaws.com/team/app', true],
    ['*.dkr.ecr.*.amazonaws.com', '123456789.dkr.ecr.us-east-1.amazonaws.com/app', true],
    ['*.dkr.ecr.*.amazonaws.com', '123456789.dkr.ecr.cn-north-1.amazonaws.com.cn/app', false],
    ['*.azurecr.io', 'team.azurecr.io/app', true],
    ['*.azurecr.io', 'team.eu.azurecr.io/app', false],
    ['gcr.io', 'gcr.io/project/app', true],
    ['gcr.io', 'eu.gcr.io/project/app', false],
    ['*.*.registry.io', 'a.b.registry.io/app', true],
    ['registry.io:8080/path', 'registry.io:8080/path/app', true],
    ['registry.io:8080/path', 'registry.io/path/app', false],
  ])('%s, %s: %j, as its documentation has it', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected)
  })

  test.each([
    ['reg.io', 'reg.io.evil.com/app', false],
    ['reg.io', 'evil-reg.io/app', false],
    ['reg.io', 'xreg.io/app', false],
    ['*.reg.io', 'evil.com.reg.io/app', false],
    ['reg.io/team', 'reg.io/team-x/app', true],
    ['reg.io/team/', 'reg.io/team/app', true],
    ['reg.io:443', 'reg.io/app', true],
    ['REG.io', 'reg.io/app', true],
    ['[fd00::7]:5000', '[fd00:0::7]:5000/app', true],
    ['docker.io', 'docker.io/app', true],
    ['docker.io/library', 'docker.io/alpine', true],
    ['index.docker.io', 'docker.io/team/app', true],
  ])('%s, %s: %j', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected)
  })

  test.each([
    '',
    '/app',
    'reg.io?x',
    'reg.io/a b',
    'user@reg.io',
    'https://reg.io',
    'reg.io:0',
    'reg.io:*',
    '[a-z].io',
  ])('%j is none', (text) => {
    expect(parseImagePattern(text)).toBeUndefined()
  })
})

describe('keys of secrets', () => {
  // facts/security.md, "credential matching".
  test.each([
    ['reg.io', 'reg.io/app', true],
    ['reg.io', 'reg.io.evil.com/app', false],
    ['reg.io', 'reg.io:5000/app', false],
    ['reg.io:5000', 'reg.io/app', false],
    ['reg.io:443', 'reg.io/app', true],
    ['reg.io', 'reg.io:443/app', true],
    ['Reg.IO', 'reg.io/app', true],
    ['reg.io.', 'reg.io/app', true],
    ['reg.io', 'reg.io./app', true],
    ['reg.io/team', 'reg.io/team/app', true],
    ['reg.io/team', 'reg.io/team', true],
    ['reg.io/team/', 'reg.io/team/app', true],
    ['reg.io/team', 'reg.io/team-x/app', false],
    ['reg.io/team', 'reg.io/app', false],
    ['127.0.0.1:5000', '2130706433:5000/app', true],
  ])('%s, %s: %j', (key, text, expected) => {
    expect(isFor(key, text)).toBe(expected)
  })

  test.each([
    ['https://reg.io', 'reg.io/app', true],
    ['http://reg.io:5000', 'reg.io:5000/app', true],
    ['https://reg.io/v1/', 'reg.io/app', true],
    ['https://reg.io/v2/', 'reg.io/app', true],
    ['https://reg.io/v2', 'reg.io/app', true],
    ['https://reg.io/v1/team', 'reg.io/team/app', true],
    ['https://reg.io/v1/team', 'reg.io/other/app', false],
    ['https://*.docker.io/path', 'prefix.docker.io/path/app', true],
    ['https://suffix.*.io', 'prefix.docker.io/app', false],
  ])('URLs: %s, %s: %j', (key, text, expected) => {
    expect(isFor(key, text)).toBe(expected)
  })

  test.each(['https://index.docker.io/v1/', 'index.docker.io', 'docker.io', 'https://registry-1.docker.io/v2/'])(
    "%s is Docker Hub, and nobody else's",
    (key) => {
      expect(isFor(key, 'docker.io/alpine')).toBe(true)
      expect(isFor(key, 'docker.io/team/app')).toBe(true)
      expect(isFor(key, 'docker.io.evil.com/alpine')).toBe(false)
      expect(isFor(key, 'quay.io/alpine')).toBe(false)
    },
  )
})

test('an image is named as kubelet names it', () => {
  expect(imageText(image('docker.io/alpine'))).toBe('docker.io/library/alpine')
  expect(imageText(image('reg.io:443/team/app'))).toBe('reg.io/team/app')
})
