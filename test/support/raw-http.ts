/** HTTP/1.1 over a bare socket, so that a test sees what is on the wire: FIN or RST, and each byte before it. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface RawResponse {
  /** 0 where nothing came. */
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** How the server let go: `fin`, or the code of the error (`ECONNRESET` for an RST). */
  readonly ending: string
}

/** Sends `text` and reads until the server closes. */
export async function sendRaw(port: number, text: string): Promise<RawResponse> {
  const socket = connect(port, '127.0.0.1')
  socket.write(text)
  return readToEnd(socket)
}

export async function readToEnd(socket: Socket): Promise<RawResponse> {
  const parts: Buffer[] = []
  let ending = 'closed without FIN'
  socket.on('data', (part: Buffer) => parts.push(part))
  socket.once('end', () => {
    ending = 'fin'
  })
  socket.once('error', (error: NodeJS.ErrnoException) => {
    ending = error.code ?? error.message
  })
  await new Promise((resolve) => socket.once('close', resolve))
  return { ...parseResponse(Buffer.concat(parts)), ending }
}

/** One request on a connection of its own. `headers` are whole lines. */
export function request(
  port: number,
  method: string,
  path: string,
  headers: readonly string[] = [],
): Promise<RawResponse> {
  return sendRaw(port, requestText(port, method, path, [...headers, 'Connection: close']))
}

export function requestText(port: number, method: string, path: string, headers: readonly string[] = []): string {
  const host = headers.some((line) => /^host:/i.test(line)) ? [] : [`Host: 127.0.0.1:${port}`]
  return `${[`${method} ${path} HTTP/1.1`, ...host, ...headers].join('\r\n')}\r\n\r\n`
}

/** Opens a connection, sends a request, and waits for `bytes` bytes of the answer; reads no further until it is resumed. */
export async function openAndTake(port: number, text: string, bytes: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.write(text)
  let taken = 0
  while (taken < bytes) {
    const chunk: Buffer | null = socket.read()
    if (chunk === null) await once(socket, 'readable')
    else taken += chunk.length
  }
  return socket
}

function parseResponse(bytes: Buffer): Omit<RawResponse, 'ending'> {
  const split = bytes.indexOf('\r\n\r\n')
  if (split < 0) return { status: 0, headers: {}, body: bytes }
  const [statusLine = '', ...lines] = bytes.subarray(0, split).toString('latin1').split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  return { status: Number(statusLine.split(' ')[1]), headers, body: bytes.subarray(split + 4) }
}
