import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { createReader, type Reader, writeMessage } from '../../../agent/cluster/http.ts'
import { limits } from '../../../core/limits.ts'

const headMax = 200
const closed = { code: 'ECONNRESET' }

function connection(): { sent: PassThrough; reader: Reader } {
  const sent = new PassThrough()
  return { sent, reader: createReader(sent) }
}

async function readOne(reader: Reader): Promise<{ line: string; headers: object; body: string }> {
  const { line, headers, length } = await reader.head(headMax)
  return { line, headers: { ...headers }, body: String(await reader.body(length)) }
}

const first = writeMessage('POST /one HTTP/1.1', { host: 'here' }, Buffer.from('first'))
const second = writeMessage('POST /two HTTP/1.1', {}, Buffer.alloc(0))
const firstRead = { line: 'POST /one HTTP/1.1', headers: { host: 'here', 'content-length': '5' }, body: 'first' }
const secondRead = { line: 'POST /two HTTP/1.1', headers: { 'content-length': '0' }, body: '' }

it('a message is text that any client of HTTP reads', () => {
  expect(String(first)).toBe('POST /one HTTP/1.1\r\nhost: here\r\ncontent-length: 5\r\n\r\nfirst')
})

describe('messages are read', () => {
  it('one after another, though they come at once', async () => {
    const { sent, reader } = connection()
    sent.end(Buffer.concat([first, second]))
    expect(await readOne(reader)).toEqual(firstRead)
    expect(await readOne(reader)).toEqual(secondRead)
    await expect(reader.head(headMax)).rejects.toMatchObject(closed)
  })

  it('wherever they are cut', async () => {
    const both = Buffer.concat([first, second])
    for (let cut = 0; cut <= both.length; cut++) {
      const { sent, reader } = connection()
      const reading = readOne(reader)
      sent.write(both.subarray(0, cut))
      await new Promise((resolve) => setImmediate(resolve))
      sent.write(both.subarray(cut))
      expect(await reading).toEqual(firstRead)
      expect(await readOne(reader)).toEqual(secondRead)
    }
  })

  it('byte by byte', async () => {
    const { sent, reader } = connection()
    const reading = readOne(reader)
    for (const byte of first) sent.write(Buffer.of(byte))
    expect(await reading).toEqual(firstRead)
  })

  it('with names in any case, spaces round values, and no length where there is no body', async () => {
    const { sent, reader } = connection()
    sent.write('GET / HTTP/1.1\r\nHOST:\t here \r\nAccept:\r\n\r\n')
    const headers = { host: 'here', accept: '' }
    expect(await readOne(reader)).toEqual({ line: 'GET / HTTP/1.1', headers, body: '' })
  })

  it('with what is named twice in one, so that no grammar admits it', async () => {
    const { sent, reader } = connection()
    sent.write('GET / HTTP/1.1\r\na: 1\r\nA: 2\r\n__proto__: 3\r\n\r\n')
    const { headers } = await reader.head(headMax)
    expect(Object.entries(headers)).toEqual([
      ['a', '1, 2'],
      ['__proto__', '3'],
    ])
  })
})

describe('what is no message is refused', () => {
  it.each([
    ['a chunked body', 'transfer-encoding: chunked\r\n'],
    ['a chunked body beside a length', 'content-length: 4\r\ntransfer-encoding: chunked\r\n'],
    ['two lengths', 'content-length: 4\r\ncontent-length: 4\r\n'],
    ['a length that is no number', 'content-length: four\r\n'],
    ['a negative length', 'content-length: -4\r\n'],
    ['a signed length', 'content-length: +4\r\n'],
    ['an empty length', 'content-length:\r\n'],
    ['a length of ten digits', 'content-length: 1000000000\r\n'],
    ['a header that goes on in the next line', 'a: 1\r\n 2\r\n'],
    ['a header without a colon', 'a\r\n'],
    ['a space before the colon', 'a : 1\r\n'],
    ['no name', ': 1\r\n'],
    ['a line that ends in no carriage return', 'a: 1\nb: 2\r\n'],
    ['a carriage return within a value', 'a: 1\r2\r\n'],
    ['a zero byte', 'a: \0\r\n'],
    ['more than a head may be', `a: ${'x'.repeat(headMax)}\r\n`],
  ])('%s', async (_what, lines) => {
    const { sent, reader } = connection()
    sent.write(`POST / HTTP/1.1\r\n${lines}\r\nbody`)
    await expect(reader.head(headMax)).rejects.toThrow('what came is no message with its length in front')
  })

  // No timing is judged: where a grammar tries each way to share out the spaces this takes twenty seconds, and is seen at that.
  it('a control character behind as many spaces as a head may have', async () => {
    const { sent, reader } = connection()
    const spaces = ' '.repeat(limits.clusterHeadersMaxBytes - 100)
    sent.write(`POST / HTTP/1.1\r\na:${spaces}\0\r\n\r\n`)
    const refused = expect.objectContaining({ message: 'what came is no message with its length in front' })
    await expect(reader.head(limits.clusterHeadersMaxBytes)).rejects.toEqual(refused)
  })

  it('a head that does not end', async () => {
    const { sent, reader } = connection()
    sent.write('x'.repeat(headMax + 1))
    await expect(reader.head(headMax)).rejects.toThrow('what came is no message with its length in front')
  })
})

describe('a connection that ends', () => {
  it.each([
    ['within a head', first.subarray(0, 10)],
    ['within a body', first.subarray(0, -1)],
    ['before anything comes', Buffer.alloc(0)],
  ])('%s is told so, as one that is reset', async (_when, part) => {
    const { sent, reader } = connection()
    sent.end(part)
    await expect(readOne(reader)).rejects.toMatchObject(closed)
  })

  it('by an error says which', async () => {
    const { sent, reader } = connection()
    const reading = reader.head(headMax)
    sent.destroy(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
    await expect(reading).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await expect(reader.head(headMax)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})

it('what comes before it is asked for is left with the system', async () => {
  const { sent, reader } = connection()
  sent.write(first)
  await reader.head(headMax)
  sent.write('more')
  await new Promise((resolve) => setImmediate(resolve))
  expect(sent.isPaused()).toBe(true)
  expect(String(await reader.body(5))).toBe('first')
})
