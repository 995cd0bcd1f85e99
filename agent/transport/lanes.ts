/**
 * Lanes: each link's two TCP connections under native TLS, both ways: one carries chunks and one control messages, which so
 * never wait behind chunks. Noise and yamux in JavaScript cost four times as much CPU a byte (bench/peers), and twice as much
 * a message.
 *
 * Who is at the other end is settled by the link: its acceptor offers a random key over the noise-encrypted control stream,
 * and TLS with that key, once a lane (RFC 4279: pre-shared keys), lets in nobody else. Neither certificates nor elliptic
 * curves are needed, so a handshake costs little; a new key for each link, sent under noise, keeps noise's forward secrecy.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type OnReadOpts, type Socket } from 'node:net'
import tls, { type TLSSocket } from 'node:tls'
import { limits } from '../../core/limits.ts'
import { type LanesOffer, laneIdLength, laneKeyLength } from '../../core/wire/hello.ts'
import type { HostPort } from '../config-values.ts'
import { listenError } from '../listen-error.ts'
import { portOf } from '../system/port-of.ts'
import { plainHost } from './addresses.ts'
import { createCrowds } from './crowds.ts'
import type { Gate } from './gate.ts'

/** Takes what has come; it is overwritten afterwards. */
export type OnBytes = (bytes: Uint8Array) => void

/** What a lane carries. */
export type Freight = 'messages' | 'chunks'

/** Opens one of a link's lanes; rejects when the other side does not come, or can't be reached, within `limits.helloMs`. */
export type OpenLane = (freight: Freight, onBytes: OnBytes) => Promise<TLSSocket>

export interface Lanes {
  /** Rejects with `LISTEN_FAILED`. */
  start(): Promise<void>
  stop(): Promise<void>
  /** What to tell the opener of a link, and how to await its lanes. */
  offer(): { readonly offer: LanesOffer; readonly open: OpenLane }
}

interface Awaited {
  readonly key: Uint8Array
  readonly came: PromiseWithResolvers<TLSSocket>
  /** When it is not awaited any longer. */
  readonly late: NodeJS.Timeout
}

/** Under which name the opener comes with its key. */
function nameOf(id: Uint8Array, freight: Freight): string {
  return `${Buffer.from(id).toString('hex')} ${freight}`
}

/** AES-GCM is what processors have instructions for; the key is 256 random bits that nobody else has. */
const suite = { ciphers: 'PSK-AES128-GCM-SHA256', minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' } as const

export function createLanes(gate: Pick<Gate, 'isBanned'>, listen: HostPort): Lanes {
  const awaited = new Map<string, Awaited>()
  const named = new WeakMap<TLSSocket, string>()
  /** Those whose handshake is not over, by address and port. */
  const shaking = createCrowds<number, Socket>()
  const handshakes = tls.createServer({
    ...suite,
    handshakeTimeout: limits.helloMs,
    pskCallback: (socket, id) => {
      named.set(socket, id)
      return awaited.get(id)?.key ?? null
    },
  })
  // A banned address costs no handshake.
  const server = createServer((socket) => {
    const address = plainHost(socket.remoteAddress ?? '')
    if (gate.isBanned(address)) {
      socket.destroy()
      return
    }
    awaitHandshake(socket, address)
    handshakes.emit('connection', socket)
  })
  // Two for each of as many links, whoever else connects from one address.
  server.maxConnections = 2 * limits.peerConnectionsMax + limits.laneHandshakesPerHostMax
  // Whose time for it is over Node.js only tells of, and leaves connected.
  handshakes.on('tlsClientError', (_error, socket) => socket.destroy())
  handshakes.on('secureConnection', (socket) => {
    shaking.delete(plainHost(socket.remoteAddress ?? ''), socket.remotePort ?? 0)
    const name = named.get(socket) ?? ''
    const lane = awaited.get(name)
    awaited.delete(name)
    clearTimeout(lane?.late)
    if (lane === undefined) socket.destroy()
    else lane.came.resolve(prepared(socket))
  })

  /** Where one address has too many, the first of them ends. By its port, since TLS makes another socket of each. */
  function awaitHandshake(socket: Socket, address: string): void {
    const port = socket.remotePort ?? 0
    socket.once('close', () => shaking.delete(address, port))
    shaking.add(address, port, socket)
    if (shaking.countOf(address) > limits.laneHandshakesPerHostMax) shaking.takeFirst(address)?.destroy()
  }

  function expected(name: string, key: Uint8Array): Promise<TLSSocket> {
    const came = Promise.withResolvers<TLSSocket>()
    // Nobody awaits the lane of a link that ended while it was being agreed on.
    came.promise.catch(() => {})
    const late = setTimeout(() => {
      awaited.delete(name)
      came.reject(new Error('its lane did not come'))
    }, limits.helloMs)
    awaited.set(name, { key, came, late })
    return came.promise
  }

  function offer(): ReturnType<Lanes['offer']> {
    const port = portOf(server.address())
    const [id, key] = [randomBytes(laneIdLength), randomBytes(laneKeyLength)]
    const coming = { messages: expected(nameOf(id, 'messages'), key), chunks: expected(nameOf(id, 'chunks'), key) }
    const open: OpenLane = async (freight, onBytes) => (await coming[freight]).on('data', onBytes)
    return { offer: { port, id, key }, open }
  }

  return {
    offer,
    async start() {
      server.listen(listen.port, listen.host)
      await once(server, 'listening').catch((cause: unknown) => {
        throw listenError('bulk', listen, cause)
      })
    },
    async stop() {
      if (!server.listening) return
      server.close()
      for (const socket of shaking) socket.destroy()
      await once(server, 'close')
      for (const { came, late } of awaited.values()) {
        clearTimeout(late)
        came.reject(new Error('its listener was closed'))
      }
      awaited.clear()
    },
  }
}

/** All lanes of a process read into the same memory, one after the other. */
const readBuffer = Buffer.allocUnsafeSlow(limits.frameSizeBytes)

/** All of them share what is the same for each: a lane with its own would take 18 KiB and 0.2 ms more. */
const secureContext = tls.createSecureContext(suite)

/** How the opener of a link takes up the offer of its acceptor at `host`. */
export function laneTo(host: string, { id, key, port }: LanesOffer): OpenLane {
  return async (freight, onBytes) => {
    const onread: OnReadOpts = {
      buffer: readBuffer,
      callback: (length, buffer) => {
        onBytes(buffer.subarray(0, length))
        return true
      },
    }
    const options: tls.ConnectionOptions & { onread: OnReadOpts } = {
      secureContext,
      host,
      port,
      onread,
      pskCallback: () => ({ psk: key, identity: nameOf(id, freight) }),
      // There is no certificate: who has the key is the one that offered it.
      checkServerIdentity: () => undefined,
    }
    const socket = tls.connect(options)
    try {
      await once(socket, 'secureConnect', { signal: AbortSignal.timeout(limits.helloMs) })
    } catch (error) {
      socket.destroy()
      throw error
    }
    return prepared(socket)
  }
}

/** An error closes the socket, and that is what is watched; one of TLS leaves it open unless told (Node.js, `TLSSocket._emitTLSError`). */
function prepared(socket: TLSSocket): TLSSocket {
  return socket.setNoDelay(true).on('error', () => socket.destroy())
}
