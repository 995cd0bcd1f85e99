/** Stands between a client and the mirror, passes every byte and every FIN and RST on unchanged, and notes what was answered. */
import { once } from 'node:events'
import net from 'node:net'
import { boundAddress } from '../../cli/demo/origin.ts'

export interface RecordedExchange {
  readonly method: string
  readonly url: string
  readonly range: string | undefined
  readonly status: number
}

export interface Recorder {
  /** Base URL. */
  readonly url: string
  /** In the order of the answers' heads. */
  readonly exchanges: readonly RecordedExchange[]
  close(): void
}

export async function startRecorder(target: string): Promise<Recorder> {
  const { hostname, port } = new URL(target)
  const exchanges: RecordedExchange[] = []
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    const upstream = net.connect({ host: hostname, port: Number(port), allowHalfOpen: true })
    for (const socket of [client, upstream]) sockets.add(socket)
    const note = createNotes((exchange) => exchanges.push(exchange))
    tee(client, upstream, note.sent)
    tee(upstream, client, note.answered)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${boundAddress(server).port}`,
    exchanges,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

function tee(from: net.Socket, to: net.Socket, look: (piece: Buffer) => void): void {
  from.on('data', look)
  from.pipe(to)
  from.on('error', () => to.resetAndDestroy())
}

type Request = Pick<RecordedExchange, 'method' | 'url' | 'range'>

/** Follows one connection: requests without bodies, answers with Content-Length. */
function createNotes(done: (exchange: RecordedExchange) => void) {
  const waiting: Request[] = []
  return {
    sent: headReader((head) => {
      const [, method = '', url = ''] = /^(\S+) (\S+)/.exec(head) ?? []
      waiting.push({ method, url, range: /^range: *(.*)\r$/im.exec(head)?.[1] })
      return 0
    }),
    answered: headReader((head) => {
      const request = waiting.shift()
      if (request === undefined) throw new Error(`an answer to nothing: ${head}`)
      done({ ...request, status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]) })
      return request.method === 'HEAD' ? 0 : Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? 0)
    }),
  }
}

/** Calls `onHead` with each message's head; it returns how many bytes of body follow. */
function headReader(onHead: (head: string) => number): (piece: Buffer) => void {
  let head = ''
  let bodyBytes = 0
  return (piece) => {
    let rest = piece
    while (rest.length > 0) {
      const skipped = Math.min(bodyBytes, rest.length)
      bodyBytes -= skipped
      head += rest.toString('latin1', skipped)
      rest = Buffer.alloc(0)
      const end = head.indexOf('\r\n\r\n')
      if (bodyBytes > 0 || end === -1) return
      const following = head.slice(end + 4)
      bodyBytes = onHead(head.slice(0, end + 4))
      head = ''
      rest = Buffer.from(following, 'latin1')
    }
  }
}
