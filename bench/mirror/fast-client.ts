/**
 * The least an HTTP client can do, so that a bench measures the server: one connection, GET after GET, bodies counted
 * into one buffer and dropped.
 */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { mediaTypes } from '../../cli/demo/image.ts'
import { MiB } from '../../core/units.ts'

export interface FastClient {
  /** Resolves with the length of the body; rejects on any status but 200, or a body without Content-Length. */
  get(path: string): Promise<number>
  close(): void
}

interface FastClientOptions {
  /** PEM; speaks TLS to whoever it has certified. Default: no TLS. */
  readonly ca?: string
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>
}

/** `address` is `host:port`. */
export async function connectFastClient(
  address: string,
  { ca, headers = {} }: FastClientOptions = {},
): Promise<FastClient> {
  const [host = '', port = ''] = address.split(':')
  let current: Reading | undefined
  const options = {
    host,
    port: Number(port),
    onread: {
      buffer: Buffer.allocUnsafe(MiB),
      callback(length: number, buffer: Uint8Array) {
        current?.take(Buffer.from(buffer.buffer, buffer.byteOffset, length))
        return true
      },
    },
  }
  const socket = ca === undefined ? net.connect(options) : tls.connect({ ...options, ca })
  await once(socket, ca === undefined ? 'connect' : 'secureConnect')
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.on('close', () => current?.fail(new Error(`${address} closed the connection`)))
  return {
    get(path) {
      const reading = createReading()
      current = reading
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: ${address}\r\nAccept: ${mediaTypes.manifest}, */*\r\n${lines.join('')}\r\n`,
      )
      return reading.done
    },
    close: () => socket.destroy(),
  }
}

interface Reading {
  take(piece: Buffer): void
  fail(error: Error): void
  readonly done: Promise<number>
}

/** The head is gathered as text; after it, only lengths count. */
function createReading(): Reading {
  const { promise: done, resolve, reject } = Promise.withResolvers<number>()
  let head = ''
  let lengthBytes: number | undefined
  let leftBytes = 0
  return {
    take(piece) {
      leftBytes -= piece.length
      if (lengthBytes === undefined) {
        head += piece.toString('latin1')
        const end = head.indexOf('\r\n\r\n')
        if (end === -1) return
        lengthBytes = Number(/^content-length: *(\d+)/im.exec(head)?.[1])
        if (!head.startsWith('HTTP/1.1 200 ') || Number.isNaN(lengthBytes)) return reject(new Error(head.slice(0, end)))
        leftBytes = lengthBytes - (head.length - end - 4)
      }
      if (leftBytes === 0) resolve(lengthBytes)
    },
    fail: reject,
    done,
  }
}
