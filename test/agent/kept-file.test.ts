import { expect, test } from 'vitest'
import { codeOf } from '../../agent/kept-file.ts'

test.each([
  ['a code', Object.assign(new Error('no such file'), { code: 'ENOENT' }), 'ENOENT'],
  ['no code', new TypeError('no file'), 'TypeError: no file'],
  // What AbortSignal.timeout rejects with: its code is 23.
  ['a number', new DOMException('aborted', 'TimeoutError'), 'TimeoutError: aborted'],
])('an error with %s', (_what, error, said) => expect(codeOf(error)).toBe(said))
