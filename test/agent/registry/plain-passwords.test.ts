import { expect, test } from 'vitest'
import { withoutPlainPasswords } from '../../../agent/registry/plain-passwords.ts'
import { OriginError } from '../../../agent/upstream/origin-error.ts'

const asking = (...challenges: string[]) => new OriginError('unauthorized', 'who?', { status: 401, challenges })
const basic = asking('Basic realm="registry"')

test.each(['10.0.0.7', '192.0.2.1', '::ffff:10.0.0.7', 'fd00::7', undefined])(
  'whoever is not on loopback is sent to the registry instead of asked for a password: %s',
  (address) => {
    expect(withoutPlainPasswords(basic, address)).toMatchObject({
      code: 'PASSWORD_UNPROTECTED',
      spec: { status: 404 },
      cause: basic,
    })
  },
)

test.each(['127.0.0.1', '127.3.2.1', '::1', '::ffff:127.0.0.1'])('on loopback it is asked for: %s', (address) => {
  expect(withoutPlainPasswords(basic, address)).toBe(basic)
})

test.each([
  ['a token', asking('Bearer realm="https://a.b/token"')],
  ['a token or a password, of which clients choose the token', asking('Bearer realm="https://a.b"', 'Basic realm="b"')],
  ['nothing', asking()],
  ['a no', new OriginError('denied', 'no', { status: 403, challenges: ['Basic realm="b"'] })],
  ['any other error', new Error('x')],
])('%s is relayed to everybody', (_name, error) => {
  expect(withoutPlainPasswords(error, '10.0.0.7')).toBe(error)
})
