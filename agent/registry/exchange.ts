/** One request and its response, from the first byte to the last. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { type Answer, answerToError } from './answer.ts'
import type { AnsweredRequest, Outcome } from './ports.ts'

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Aborts when the client has gone or the mirror stops. */
  readonly signal: AbortSignal
  /** Ends the response early, as `breakOff` does, or with an error where nothing was sent yet. */
  stop(reason: unknown): void
  /** Resolves once the kernel has the bytes; rejects, with `signal` aborted, when it never will. */
  write(bytes: Uint8Array): Promise<void>
  /** A short answer. */
  send(answer: Answer): void
  /** What became of it; `error` is what it ended with, if any. */
  result(kind: AnsweredRequest['kind'], error: unknown): AnsweredRequest
}

interface ExchangeOptions {
  /** A client that takes no byte for this long is dropped. */
  readonly clientStallMs: number
}

const clientGone = new Error('the client has gone')

export function createExchange(
  { request, response, clock }: { request: IncomingMessage; response: ServerResponse; clock: Clock },
  { clientStallMs }: ExchangeOptions,
): Exchange {
  const startedMs = clock.now()
  const control = new AbortController()
  let bytes = 0
  let timeToFirstByteMs: number | undefined
  response.once('close', () => control.abort(clientGone))
  dropStalledClient(response, clientStallMs)
  response.setHeader('docker-distribution-api-version', 'registry/2.0')

  function count(length: number): void {
    if (length > 0) timeToFirstByteMs ??= clock.now() - startedMs
    bytes += length
  }

  async function write(piece: Uint8Array): Promise<void> {
    count(piece.length)
    try {
      await writeThrough(response, piece, control.signal)
    } catch (error) {
      // A socket that fails says so before it closes; nothing but the client makes it fail.
      control.abort(clientGone)
      throw error
    }
  }

  function send({ status, headers, body }: Answer): void {
    const content = typeof body === 'string' ? Buffer.from(body) : body
    if (request.method !== 'HEAD') count(content.length)
    response.writeHead(status, { ...headers, 'content-length': content.length })
    response.end(content)
  }

  function result(kind: AnsweredRequest['kind'], error: unknown): AnsweredRequest {
    const { 'user-agent': userAgent } = request.headers
    return { kind, status: response.statusCode, userAgent, bytes, timeToFirstByteMs, outcome: outcome(), error }
  }

  function outcome(): Outcome {
    if (response.writableEnded) return 'finished'
    return control.signal.reason === clientGone ? 'client-gone' : 'broken'
  }

  return { request, response, signal: control.signal, stop: (reason) => control.abort(reason), write, send, result }
}

/** Ends an exchange that failed: in words while the head is not sent, and short of Content-Length after that. */
export function fail(exchange: Exchange, error: unknown): void {
  if (exchange.response.closed) return
  if (exchange.response.headersSent) breakOff(exchange.response)
  else exchange.send(answerToError(error))
}

/**
 * FIN, behind all bytes written so far. Never `destroy` or `resetAndDestroy`: containerd resumes after a FIN, and fails the
 * pull after an RST (facts/protocols.md §0, rule 2).
 */
function breakOff(response: ServerResponse): void {
  const { socket } = response
  socket?.end()
  socket?.setTimeout(limits.mirrorLingerMs, () => socket.destroy())
}

function writeThrough(response: ServerResponse, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const stopped = (): void => reject(signal.reason)
    signal.addEventListener('abort', stopped, { once: true })
    response.write(bytes, (error) => {
      signal.removeEventListener('abort', stopped)
      if (error) reject(error)
      else resolve()
    })
  })
}

/** The socket's timer also runs out while we have nothing to send; that is not the client's fault. */
function dropStalledClient(response: ServerResponse, clientStallMs: number): void {
  response.setTimeout(clientStallMs, () => {
    if (response.writableLength > 0) response.destroy()
    else response.socket?.setTimeout(clientStallMs)
  })
}
