import { describe, expect, test } from 'vitest'
import { createLogger, type LogOptions } from '../../agent/logging.ts'
import { OriginError, parseErrorBody } from '../../agent/upstream/origin-error.ts'
import { limits } from '../../core/limits.ts'

/** Never to be seen in a line, wherever it was put. */
const canary = 'c4n4ry-5ecret'

function capture(options: Partial<LogOptions> = {}) {
  const lines: string[] = []
  const logger = createLogger({ level: 'info', format: 'json', ...options }, { write: (line) => lines.push(line) })
  return { logger, lines }
}

describe('secrets never reach a log line', () => {
  const jwt = `eyJhbGciOiJub25lIn0.${canary}.sig`
  const leaks: Record<string, object> = {
    'a header': { headers: { authorization: `Bearer ${canary}` } },
    'a header, deep down': { a: [{ b: { c: { 'Proxy-Authorization': `Digest ${canary}` } } }] },
    'several cookies': { response: { headers: { 'set-cookie': [`a=${canary}`, `b=${canary}`] } } },
    'raw headers': { rawHeaders: ['Host', 'x', 'Cookie', `session=${canary}`] },
    'a token answer': { body: { access_token: canary, refresh_token: canary, expires_in: 60 } },
    'a secret': { options: { clusterSecret: canary } },
    'a pull secret': { auth: canary, username: 'u', password: canary },
    'a signed URL': { url: `https://s3.example.com/blob?X-Amz-Signature=${canary}&X-Amz-Date=1` },
    'a signed path': { path: `/blob?X-Amz-Credential=${canary}&X-Amz-Signature=${canary}` },
    'the user of a URL': { proxy: `http://user:${canary}@proxy:3128/` },
    'a Basic credential in a text': { note: `sent Basic ${canary} to the origin` },
    'a header in a text': { note: `> Authorization: Token ${canary}` },
    'a web token in a text': { note: `got ${jwt}` },
    'an error': { err: new Error(`GET https://x/y?sig=${canary} failed`, { cause: new Error(`Bearer ${canary}`) }) },
  }

  test.each(Object.entries(leaks))('%s', (_name, fields) => {
    for (const format of ['json', 'pretty'] as const) {
      const { logger, lines } = capture({ format })
      logger.info(fields, 'a message')
      logger.child(fields).info('from a child')
      logger.info(`in the message: ${JSON.stringify(fields)} ${jwt}`)
      expect(lines).toHaveLength(3)
      expect(lines.slice(0, 2).join('')).not.toContain(canary)
      expect(lines[2]).not.toContain(jwt)
    }
  })

  test('what is no secret stays', () => {
    const { logger, lines } = capture()
    const fields = {
      author: 'Ann',
      url: 'https://registry/v2/',
      keys: 3,
      list: ['a', 1, null],
      note: 'as simple as it gets',
    }
    logger.info(fields, 'hello')
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ ...fields, level: 'info', msg: 'hello' })
  })
})

test('what a registry nests as deep as its answer is long neither breaks a line nor comes into it', () => {
  const depth = limits.originErrorBodyMaxBytes / 2 - 50
  const body = parseErrorBody(`{"errors":[{"code":"DENIED","detail":${'['.repeat(depth)}${']'.repeat(depth)}}]}`)
  const { logger, lines } = capture()
  logger.info({ err: new OriginError('denied', 'no', { status: 403, body }) }, 'request refused')
  expect(lines).toHaveLength(1)
  expect(lines[0]).toContain('[too deep]')
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    msg: 'request refused',
    err: { body: { errors: [{ code: 'DENIED' }] } },
  })
})

test('lines below the level are not written', () => {
  const { logger, lines } = capture({ level: 'warn' })
  logger.info('no')
  logger.warn('yes')
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['yes'])
})

test('pretty lines have time, level, message, fields and the stack', () => {
  const { logger, lines } = capture({ format: 'pretty' })
  logger.info({ address: '127.0.0.1:5050', note: 'two words' }, 'mirror listens')
  logger.error({ err: new Error('broken') }, 'it failed')
  expect(lines[0]).toMatch(
    /^\d\d:\d\d:\d\d\.\d{3} INFO {2}mirror listens {2}address=127\.0\.0\.1:5050 {2}note="two words"\n$/,
  )
  expect(lines[1]).toMatch(/^\S+ ERROR it failed\n {4}Error: broken\n {8}at /)
})
