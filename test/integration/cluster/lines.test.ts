/** Kept connections to a listener, on real sockets. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createLines, type Lines } from '../../../agent/cluster/lines.ts'
import { writeMessage } from '../../../agent/cluster/http.ts'
import { portOf } from '../../../agent/system/port-of.ts'
import { limits } from '../../../core/limits.ts'
import { span } from '../../core/directory/world.ts'
import { until } from '../../support/until.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close()
})

const never = new Promise<never>(() => {})
const message = writeMessage('POST / HTTP/1.1', {}, Buffer.from('?'))
const answer = writeMessage('HTTP/1.1 200 OK', {}, Buffer.from('!'))
const lastAnswer = writeMessage('HTTP/1.1 401 Unauthorized', { connection: 'close' }, Buffer.from('!'))

interface Listener {
  readonly lines: Lines
  /** All that connected, in order. */
  readonly sockets: Socket[]
  /** Those that have asked and wait, in order. */
  readonly asking: Socket[]
}

async function listen(): Promise<Listener> {
  const sockets: Socket[] = []
  const asking: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', () => asking.push(socket))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const lines = createLines(`127.0.0.1:${portOf(server.address())}`)
  closers.push(() => {
    lines.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { lines, sockets, asking }
}

async function askOnce({ lines, asking }: Listener): Promise<void> {
  const asked = lines.ask(message, never)
  await until(() => asking.length > 0)
  asking.shift()!.write(answer)
  expect(String((await asked).body)).toBe('!')
}

describe('a connection', () => {
  it('is kept for the next call', async () => {
    const listener = await listen()
    for (let count = 0; count < 3; count++) await askOnce(listener)
    expect(listener.sockets).toHaveLength(1)
  })

  it('that the other side ends is left', async () => {
    const listener = await listen()
    await askOnce(listener)
    listener.sockets[0]!.end()
    await until(() => !listener.lines.isOpen())
    await askOnce(listener)
    expect(listener.sockets).toHaveLength(2)
  })

  it('that the answer says is the last is left', async () => {
    const listener = await listen()
    const asked = listener.lines.ask(message, never)
    await until(() => listener.asking.length > 0)
    listener.asking.shift()!.write(lastAnswer)
    await asked
    await askOnce(listener)
    expect(listener.sockets).toHaveLength(2)
  })

  it('whose call was stopped is left, since its answer may still come', async () => {
    const listener = await listen()
    const stop = Promise.withResolvers<never>()
    const asked = listener.lines.ask(message, stop.promise)
    await until(() => listener.asking.length > 0)
    stop.reject(new Error('stopped'))
    await expect(asked).rejects.toThrow('stopped')
    listener.asking.shift()
    await askOnce(listener)
    expect(listener.sockets).toHaveLength(2)
  })
})

describe('more calls than there may be connections', () => {
  const crowd = limits.clusterConnectionsPerMember

  async function fill({ asking, lines }: Listener): Promise<Promise<unknown>[]> {
    const asked = span(0, crowd).map(() => lines.ask(message, never))
    await until(() => asking.length === crowd)
    return asked
  }

  it('wait for one another', async () => {
    const listener = await listen()
    const asked = await fill(listener)
    const late = listener.lines.ask(message, never)
    const [first, ...others] = listener.asking.splice(0)
    first!.write(answer)
    await until(() => listener.asking.length === 1)
    expect(listener.asking).toEqual([first])
    for (const socket of [first!, ...others]) socket.write(answer)
    await Promise.all([...asked, late])
    expect(listener.sockets).toHaveLength(crowd)
  })

  it('wait also for one that ends', async () => {
    const listener = await listen()
    const [doomed, ...asked] = await fill(listener)
    const late = listener.lines.ask(message, never)
    const [first, ...others] = listener.asking.splice(0)
    first!.destroy()
    await expect(doomed).rejects.toMatchObject({ code: 'ECONNRESET' })
    await until(() => listener.asking.length === 1)
    for (const socket of [listener.asking.shift()!, ...others]) socket.write(answer)
    await Promise.all([...asked, late])
    expect(listener.sockets).toHaveLength(crowd + 1)
  })

  it('wait no more when they are stopped, and let the next go on', async () => {
    const listener = await listen()
    const asked = await fill(listener)
    const stop = Promise.withResolvers<never>()
    const stopped = listener.lines.ask(message, stop.promise)
    const late = listener.lines.ask(message, never)
    const [first, ...others] = listener.asking.splice(0)
    stop.reject(new Error('stopped'))
    await expect(stopped).rejects.toThrow('stopped')
    first!.write(answer)
    await until(() => listener.asking.length === 1)
    for (const socket of [listener.asking.shift()!, ...others]) socket.write(answer)
    await Promise.all([...asked, late])
  })
})
