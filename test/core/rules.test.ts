import { describe, expect, test } from 'vitest'
import { compileRules, type ImageName, parsePattern } from '../../core/rules.ts'

/** `host/path[:tag]`, without a port. */
function image(text: string): ImageName {
  const [, origin = '', repository = '', tag] = /^([^/]+)\/([^:]+)(?::(.+))?$/.exec(text) ?? []
  return { origin, repository, tag }
}

const matches = (pattern: string, text: string) =>
  compileRules([{ pattern, action: 'pass' }])(image(text)).action === 'pass'

test.each([
  ['docker.io', 'docker.io/library/app:v1', true],
  ['docker.io', 'docker.io/library/app', true],
  ['docker.io', 'xdocker.io/library/app', false],
  ['docker.io', 'docker.io.evil.com/library/app', false],
  ['docker.io/library/app', 'docker.io/library/app', true],
  ['docker.io/library/app', 'docker.io/library/app:v1', true],
  ['docker.io/library/app', 'docker.io/library/app-more', false],
  ['docker.io/library/app', 'docker.io/library/app/more', false],
  ['docker.io/library/*', 'docker.io/library/app', true],
  ['docker.io/library/*', 'docker.io/library/app/more', false],
  ['docker.io/library/*', 'docker.io/library', false],
  ['docker.io/*', 'docker.io/library/app', false],
  ['docker.io/**', 'docker.io/library/app', true],
  ['docker.io/team/**', 'docker.io/team/a/b/c', true],
  ['docker.io/team/**', 'docker.io/team', true],
  ['docker.io/team/**', 'docker.io/team-x/a', false],
  ['docker.io/team/**/app', 'docker.io/team/app', true],
  ['docker.io/team/**/app', 'docker.io/team/a/b/app', true],
  ['docker.io/team/**/app', 'docker.io/team/a/xapp', false],
  ['docker.io/**/app', 'docker.io/app', true],
  ['docker.io/team/a*z', 'docker.io/team/abcz', true],
  ['docker.io/team/a*z', 'docker.io/team/abc', false],
  ['docker.io/team/a.c', 'docker.io/team/abc', false],
  ['*.corp.example', 'a.corp.example/x', true],
  ['*.corp.example', 'a.b.corp.example/x', false],
  ['*.corp.example', 'corp.example/x', false],
  ['*', 'docker.io/x', false],
  ['**', 'docker.io/x', true],
  ['**/secret/*', 'docker.io/secret/x', true],
  ['docker.io/**:latest', 'docker.io/a/b:latest', true],
  ['docker.io/**:latest', 'docker.io/a/b:v1', false],
  ['docker.io/**:latest', 'docker.io/a/b', false],
  ['docker.io/app:v*', 'docker.io/app:v1.2', true],
  ['docker.io/app:*', 'docker.io/app', false],
  ['docker.io/app:v1.2', 'docker.io/app:v1x2', false],
])('%s and %s: %s', (pattern, text, expected) => {
  expect(matches(pattern, text)).toBe(expected)
})

test('ports belong to the name, and no star matches one', () => {
  const decide = compileRules([
    { pattern: 'reg.corp:5000', action: 'pass' },
    { pattern: 'reg.*', action: 'refuse' },
    { pattern: '[fd00::7]:5000/team/*', action: 'unshared' },
  ])
  const actionOf = (origin: string) => decide({ origin, repository: 'team/app' }).action
  expect(['reg.corp:5000', 'reg.corp', 'reg.corp:5001', '[fd00::7]:5000'].map(actionOf)).toEqual([
    'pass',
    'refuse',
    'mirror',
    'unshared',
  ])
})

describe('the first rule that matches decides', () => {
  const decide = compileRules([
    { pattern: 'docker.io/team/public', action: 'mirror' },
    { pattern: 'docker.io/team/**:dev-*', action: 'refuse' },
    { pattern: 'docker.io/team/**', action: 'unshared' },
  ])

  test.each([
    ['docker.io/team/public:dev-1', { action: 'mirror', ruleNumber: 1, pattern: 'docker.io/team/public' }],
    ['docker.io/team/app:dev-1', { action: 'refuse', ruleNumber: 2, pattern: 'docker.io/team/**:dev-*' }],
    ['docker.io/team/app:v1', { action: 'unshared', ruleNumber: 3, pattern: 'docker.io/team/**' }],
    ['docker.io/team/app', { action: 'unshared', ruleNumber: 3, pattern: 'docker.io/team/**' }],
    ['docker.io/other/app:dev-1', { action: 'mirror', ruleNumber: undefined, pattern: undefined }],
  ])('%s', (text, decision) => {
    expect(decide(image(text))).toEqual(decision)
  })
})

test.each([
  '',
  '/app',
  'docker.io/',
  'docker.io//app',
  'docker.io/App',
  'docker.io/a***',
  'docker.io/a**b/c',
  'docker.io/a@sha256:0',
  'docker.io:x/a',
  'a b',
  '-a.io',
  'docker.io/a:',
  'docker.io/a:b:c',
])('%j is no pattern', (pattern) => {
  expect(parsePattern(pattern)).toBeUndefined()
  expect(() => compileRules([{ pattern, action: 'pass' }])).toThrow(RangeError)
})
