/** Whom the cluster listener waits for, and for how long. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { randomToken } from '../../../agent/cluster/epochs.ts'
import { readAnswerHeaders, writeMacHeaders } from '../../../agent/cluster/headers.ts'
import { createReader, type Reader, writeMessage } from '../../../agent/cluster/http.ts'
import { hashOf, macKeysOf, requestMac } from '../../../agent/cluster/mac.ts'
import { createClusterServer, type ClusterRoute } from '../../../agent/cluster/server.ts'
import { createIdentity } from '../../../agent/identity/identity.ts'
import { limits } from '../../../core/limits.ts'
import { MiB } from '../../../core/units.ts'
import { until } from '../../support/until.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const self = createIdentity().peer
const caller = createIdentity().peer
const keys = macKeysOf({ current: Buffer.alloc(32, 7) })
const path = '/test'

const closers: (() => unknown)[] = []
beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
afterEach(async () => {
  vi.useRealTimers()
  for (const close of closers.splice(0).toReversed()) await close()
})

interface World {
  readonly socket: Socket
  readonly reader: Reader
  /** Lets time pass, in which the listener looks round. */
  wait(ms: number): void
}

/** A connection to a listener which answers by `handle`. */
async function open(handle: ClusterRoute['handle'] = async () => Buffer.from('!')): Promise<World> {
  const clock = virtualClock()
  const routes = [{ path, byAddress: false, inTurn: () => false, handle }]
  const listener = createClusterServer({ clock, self, keys, routes })
  closers.push(() => listener.close())
  const { port } = await listener.listen({ host: '127.0.0.1', port: 0 })
  const socket = connect({ host: '127.0.0.1', port })
  closers.push(() => socket.destroy())
  await once(socket, 'connect')
  const wait = (ms: number): void => {
    clock.advance(ms)
    vi.advanceTimersByTime(ms)
  }
  return { socket, reader: createReader(socket), wait }
}

function request(epoch: string, body = Buffer.from('?')): Buffer {
  const covered = { from: caller, to: self, nonce: randomToken(), epoch, bodyHash: hashOf(body) }
  const mac = requestMac(keys[0], { method: 'POST', path, ...covered })
  return writeMessage(`POST ${path} HTTP/1.1`, writeMacHeaders({ key: keys[0].id, ...covered, mac }), body)
}

async function answerOn({ reader }: World): Promise<{ line: string; epoch: string; body: string }> {
  const { line, headers, length } = await reader.head(limits.clusterHeadersMaxBytes)
  return { line, epoch: readAnswerHeaders(headers)?.epoch ?? '', body: String(await reader.body(length)) }
}

/** The token under which it may ask. */
async function introduce(world: World): Promise<string> {
  world.socket.write(request(''))
  const { epoch } = await answerOn(world)
  return epoch
}

describe('a connection ends in time', () => {
  it.each([
    ['on which nothing comes', () => Buffer.alloc(0)],
    ['with half a head', (epoch: string) => request(epoch).subarray(0, 40)],
    ['with half a body', (epoch: string) => request(epoch, Buffer.alloc(100)).subarray(0, -50)],
    ['with half a body that is refused', () => Buffer.from('POST /other HTTP/1.1\r\ncontent-length: 100\r\n\r\nhalf')],
  ])('%s', async (_what, part) => {
    const world = await open()
    world.socket.write(part(await introduce(world)))
    await until(() => {
      // Again and again, since what was sent may not have been read before the first time.
      world.wait(limits.clusterKeepAliveMs)
      return world.socket.closed
    })
    expect(world.socket.closed).toBe(true)
  })
})

it('the next request of who does not read its answer waits', async () => {
  const large = Buffer.alloc(16 * MiB)
  let asked = 0
  const world = await open(async () => {
    asked++
    return large
  })
  const epoch = await introduce(world)
  world.socket.write(Buffer.concat([request(epoch), request(epoch)]))
  const { length } = await world.reader.head(limits.clusterHeadersMaxBytes)
  expect(asked).toBe(1)
  await world.reader.body(length)
  expect((await world.reader.head(limits.clusterHeadersMaxBytes)).length).toBe(large.length)
  expect(asked).toBe(2)
})

it('a connection lives on while its listener works on an answer', async () => {
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<Buffer>()
  const world = await open(() => {
    asked.resolve()
    return answer.promise
  })
  world.socket.write(request(await introduce(world)))
  await asked.promise
  world.wait(10 * limits.clusterKeepAliveMs)
  answer.resolve(Buffer.from('late'))
  expect(await answerOn(world)).toMatchObject({ line: 'HTTP/1.1 200 OK', body: 'late' })
})

it('a connection lives on between two calls', async () => {
  const world = await open()
  const epoch = await introduce(world)
  world.wait(limits.clusterIdleMs)
  world.socket.write(request(epoch))
  expect(await answerOn(world)).toMatchObject({ line: 'HTTP/1.1 200 OK', body: '!' })
})

it('what is too large is refused by the length that it names, and not read', async () => {
  const world = await open()
  const epoch = await introduce(world)
  world.socket.write(request(epoch, Buffer.alloc(limits.clusterRequestMaxBytes + 1)).subarray(0, 4096))
  expect(await answerOn(world)).toMatchObject({ line: 'HTTP/1.1 401 Unauthorized', body: '' })
})
