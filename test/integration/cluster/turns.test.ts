/** What a listener does for others while hundreds ask its directory at once, on real sockets. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { randomToken } from '../../../agent/cluster/epochs.ts'
import { readAnswerHeaders, writeMacHeaders } from '../../../agent/cluster/headers.ts'
import { hashOf, macKeysOf, requestMac } from '../../../agent/cluster/mac.ts'
import { createClusterServer, routeOf } from '../../../agent/cluster/server.ts'
import { announceCall } from '../../../agent/cluster/wire.ts'
import type { HostPort } from '../../../agent/config-values.ts'
import { createIdentity } from '../../../agent/identity/identity.ts'
import { portOf } from '../../../agent/system/port-of.ts'
import type { PeerId } from '../../../core/ports.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const crowd = 300
const self = createIdentity().peer
const caller = createIdentity().peer
/** Need not wait its turn. */
const fetcher = createIdentity().peer
const keys = macKeysOf({ current: Buffer.alloc(32, 7) })

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

async function listen(onAnnounce: (from: PeerId) => void): Promise<HostPort> {
  const route = routeOf(
    announceCall,
    { byAddress: false, inTurn: (from) => from !== fetcher },
    ({ from }) => from.peer,
    ({ from }) => {
      onAnnounce(from.peer)
      return { items: [] }
    },
  )
  // On this clock no turn takes long.
  const listener = createClusterServer({ clock: virtualClock(), self, keys, routes: [route] })
  closers.push(() => listener.close())
  return listener.listen({ host: '127.0.0.1', port: 0 })
}

async function openTo(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  closers.push(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

function announceUnder(epoch: string, from: PeerId): string {
  const body = announceCall.writeRequest({ from: { peer: from, addresses: [] }, items: [] })
  const covered = { from, to: self, nonce: randomToken(), epoch, bodyHash: hashOf(body) }
  const mac = requestMac(keys[0], { method: 'POST', path: announceCall.path, ...covered })
  const headers = { ...writeMacHeaders({ key: keys[0].id, ...covered, mac }), 'content-length': body.length }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `POST ${announceCall.path} HTTP/1.1\r\nhost: here\r\n${lines.join('')}\r\n${body.toString()}`
}

async function ask(socket: Socket, epoch: string, from = caller): Promise<string> {
  socket.write(announceUnder(epoch, from))
  const [answer]: Buffer[] = await once(socket, 'data')
  return String(answer)
}

/** The token that an authentic but stale request learns. */
function epochIn(answer: string): string {
  const lines = answer.split('\r\n').map((line) => line.split(': '))
  return readAnswerHeaders(Object.fromEntries(lines))?.epoch ?? ''
}

/** Connections that are accepted, of which the system lets in one a turn, and under which token they may ask. */
async function gather(port: number): Promise<{ sockets: Socket[]; epoch: string }> {
  const sockets = await Promise.all(Array.from({ length: crowd }, () => openTo(port)))
  const refusals = await Promise.all(sockets.map((socket) => ask(socket, '')))
  return { sockets, epoch: epochIn(refusals[0]!) }
}

/** Two sockets, each of which says a word whenever it hears one. */
async function chat(onWord: () => void): Promise<void> {
  const join = (socket: Socket): void => {
    closers.push(() => socket.destroy())
    socket.on('data', (word) => {
      onWord()
      socket.write(word)
    })
  }
  const server = createServer(join)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  closers.push(() => server.close())
  const socket = await openTo(portOf(server.address()))
  join(socket)
  socket.write('.')
}

/** Connections that the system has taken for a listener which has not accepted them yet. */
function waitingAt(port: number): number {
  const listening = `:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A `
  const line = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .find((one) => one.includes(listening))
  const queues = line?.split(listening)[1] ?? ''
  return Number.parseInt(queues.split(':')[1] ?? '', 16)
}

it('more than five hundred may wait to be let in', async () => {
  const { port } = await listen(() => undefined)
  for (let number = 0; number < 2 * crowd; number++) {
    const socket = connect({ host: '127.0.0.1', port })
    closers.push(() => socket.destroy())
  }
  // They connect before the next turn of the event loop, and the first is accepted in that one.
  await new Promise<void>((resolve) => process.nextTick(resolve))
  expect(waitingAt(port)).toBe(2 * crowd)
})

it('between any two of a crowd of announces, whatever else is ready is served', async () => {
  const log: ('announce' | 'other')[] = []
  const { port } = await listen(() => log.push('announce'))
  const { epoch, sockets } = await gather(port)
  await chat(() => log.push('other'))

  const answers = await Promise.all(sockets.map((socket) => ask(socket, epoch)))

  expect(answers.filter((answer) => answer.startsWith('HTTP/1.1 200'))).toHaveLength(crowd)
  expect(log.filter((what) => what === 'announce')).toHaveLength(crowd)
  const inARow = log.filter((what, at) => what === 'announce' && log[at + 1] === 'announce')
  expect(inARow).toEqual([])
})

it('who has a lease goes ahead of the crowd', async () => {
  const log: PeerId[] = []
  const { port } = await listen((from) => log.push(from))
  const { epoch, sockets } = await gather(port)
  const last = sockets.pop()!
  await Promise.all([...sockets.map((socket) => ask(socket, epoch)), ask(last, epoch, fetcher)])
  expect(log).toHaveLength(crowd)
  expect(log.slice(log.indexOf(fetcher)).filter((from) => from === caller).length).toBeGreaterThan(crowd / 2)
})

it('who asks again on a connection before it was answered there is cut off: nobody waits a thousand times over', async () => {
  const log: PeerId[] = []
  const { port } = await listen((from) => log.push(from))
  const socket = await openTo(port)
  const epoch = epochIn(await ask(socket, ''))
  socket.write(Array.from({ length: 3 }, () => announceUnder(epoch, caller)).join(''))
  await once(socket, 'close')
  expect(log).toEqual([caller])
})
