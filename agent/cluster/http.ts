/**
 * As much of HTTP/1.1 (RFC 9112) as a call between members takes: one message after another, each with its length in front. What is
 * no such message ends its connection. `node:http` reads whatever clients may send, into streams: at a few calls a second, when none
 * of that is in the processor's caches, it took a quarter of a call's CPU.
 */
import type { Readable } from 'node:stream'

/** By names in lower case; repeated ones are joined by a comma. */
export type Headers = Readonly<Record<string, string>>

export interface Head {
  /** The request line, or the status line. */
  readonly line: string
  readonly headers: Headers
  /** Of the body, in bytes. */
  readonly length: number
}

/** Reads the messages that come over one connection, each its head first. Rejects when the connection ends before. */
export interface Reader {
  /** Rejects also where what comes is no head, or one of more than `maxBytes`. */
  head(maxBytes: number): Promise<Head>
  body(length: number): Promise<Buffer>
}

const endOfHead = '\r\n\r\n'
const nameGrammar = /^[\w!#$%&'*+.^`|~-]+$/
const valueGrammar = /^[\t\x20-\x7e\x80-\xff]*$/
const lengthGrammar = /^\d{1,9}$/

export function createReader(connection: Readable): Reader {
  const parts: Buffer[] = []
  let bytes = 0
  let end: Error | undefined
  /** Looks whether what is waited for has come. */
  let look: (() => void) | undefined

  connection.on('data', (part: Buffer) => {
    parts.push(part)
    bytes += part.length
    // What comes before it is asked for waits with the system.
    if (look === undefined) connection.pause()
    else look()
  })
  connection.on('error', over)
  connection.on('end', over)
  connection.on('close', over)

  function over(error?: Error | boolean): void {
    end ??=
      error instanceof Error ? error : Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' })
    look?.()
  }

  /** What `find` makes of what has come, as soon as that is something. */
  function waitFor<Found>(find: () => Found | undefined): Promise<Found> {
    const { promise, resolve, reject } = Promise.withResolvers<Found>()
    look = () => {
      const found = find()
      if (found === undefined && end === undefined) return
      look = undefined
      if (found === undefined) reject(end)
      else resolve(found)
    }
    connection.resume()
    look()
    return promise
  }

  function inOnePiece(): Buffer {
    if (parts.length !== 1) parts.splice(0, parts.length, Buffer.concat(parts))
    return parts[0]!
  }

  function take(length: number): Buffer {
    const all = inOnePiece()
    parts[0] = all.subarray(length)
    bytes -= length
    return all.subarray(0, length)
  }

  return {
    async head(maxBytes) {
      const length = await waitFor(() => {
        const found = inOnePiece().indexOf(endOfHead)
        return found < 0 && bytes <= maxBytes ? undefined : found
      })
      const isHead = length >= 0 && length <= maxBytes
      const head = isHead ? readHead(take(length + endOfHead.length).toString('latin1', 0, length)) : undefined
      if (head === undefined) throw new Error('what came is no message with its length in front')
      return head
    },
    body: (length) => waitFor(() => (bytes < length ? undefined : take(length))),
  }
}

function readHead(text: string): Head | undefined {
  const [line = '', ...lines] = text.split('\r\n')
  const headers: Record<string, string> = Object.create(null)
  for (const one of lines) {
    const [name, value] = readHeader(one)
    if (!nameGrammar.test(name) || !valueGrammar.test(value)) return undefined
    const key = name.toLowerCase()
    headers[key] = key in headers ? `${headers[key]}, ${value.trim()}` : value.trim()
  }
  const length = headers['content-length'] ?? '0'
  if (!lengthGrammar.test(length) || 'transfer-encoding' in headers) return undefined
  return { line, headers, length: Number(length) }
}

/** Cut at the first colon, and not by one grammar for all of it: that would try each way to share out a run of spaces, before any MAC is checked. */
function readHeader(line: string): [name: string, value: string] {
  const colon = line.indexOf(':')
  return colon < 0 ? ['', ''] : [line.slice(0, colon), line.slice(colon + 1)]
}

/** In one piece, so that it leaves in one packet where it fits. */
export function writeMessage(line: string, headers: Headers, body: Uint8Array): Buffer {
  let head = `${line}\r\n`
  for (const [name, value] of Object.entries(headers)) head += `${name}: ${value}\r\n`
  head += `content-length: ${body.length}${endOfHead}`
  return Buffer.concat([Buffer.from(head, 'latin1'), body])
}
