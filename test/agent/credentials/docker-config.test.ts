import { expect, test } from 'vitest'
import { parseDockerConfig } from '../../../agent/credentials/docker-config.ts'

const auth = (text: string): string => Buffer.from(text).toString('base64')
const parse = (config: object) => parseDockerConfig(JSON.stringify(config))

test.each([
  [{ auth: auth('robot:se:cret') }, { kind: 'password', username: 'robot', password: 'se:cret' }],
  [{ auth: auth('robot:secret\0\0') }, { kind: 'password', username: 'robot', password: 'secret' }],
  [
    { username: 'robot', password: 'secret' },
    { kind: 'password', username: 'robot', password: 'secret' },
  ],
  [
    { auth: auth('robot:secret'), email: 'a@b.c' },
    { kind: 'password', username: 'robot', password: 'secret' },
  ],
  [
    { auth: auth('robot:'), identitytoken: 'token' },
    { kind: 'identity-token', token: 'token' },
  ],
  [{ auth: auth('00000000-0000-0000-0000-000000000000:refresh') }, { kind: 'identity-token', token: 'refresh' }],
  [{ auth: auth('_json_key:{\n"key": 1\n}') }, { kind: 'password', username: '_json_key', password: '{\n"key": 1\n}' }],
])('%j', (entry, account) => {
  expect(parse({ auths: { 'reg.io': entry } }).accounts).toMatchObject([{ key: { text: 'reg.io' }, account }])
})

test('entries whose secret is elsewhere are none; helpers and other keys are read', () => {
  const config = parse({
    auths: { 'https://index.docker.io/v1/': {}, 'quay.io': { auth: '' } },
    HttpHeaders: { 'User-Agent': 'Docker' },
    credHelpers: { '1.dkr.ecr.eu-west-1.amazonaws.com': 'ecr-login' },
    credsStore: 'pass',
  })
  expect(config).toMatchObject({
    accounts: [],
    helpers: [{ key: { text: '1.dkr.ecr.eu-west-1.amazonaws.com' }, name: 'ecr-login' }],
    store: 'pass',
  })
  expect(parse({})).toEqual({ accounts: [], helpers: [], store: undefined })
})

test.each([
  ['{"auths": {"reg.io": {"auth": "canary', /^is no JSON$/],
  ['[]', /the file/],
  [JSON.stringify({ auths: { 'reg.io': { auth: auth('canary') } } }), /auths "reg.io": auth is no base64/],
  [JSON.stringify({ auths: { 'reg.io': { auth: 7 } } }), /auths.reg.io.auth/],
  [JSON.stringify({ auths: { 'reg.io?': { auth: auth('a:canary') } } }), /"reg.io\?" names no registry/],
  [JSON.stringify({ credsStore: '../../bin/sh' }), /credsStore: expected the name/],
  [JSON.stringify({ credHelpers: { 'reg.io': 'x/../y' } }), /credHelpers.reg.io: expected the name/],
])('%s is refused, and nothing of it shown', (text, why) => {
  const fails = () => parseDockerConfig(text)
  expect(fails).toThrow(why)
  expect(fails).toThrow(/^(?!.*canary)/)
})
