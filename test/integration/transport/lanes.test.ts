import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import tls from 'node:tls'
import { afterEach, expect, test } from 'vitest'
import { createLanes, laneTo, type Lanes } from '../../../agent/transport/lanes.ts'
import { limits } from '../../../core/limits.ts'
import { until } from '../../support/until.ts'

const host = '127.0.0.1'
const banned = new Set<string>()
const running: Lanes[] = []
const silent: Socket[] = []

async function listening(): Promise<Lanes> {
  const lanes = createLanes({ isBanned: (who) => banned.has(who) }, { host, port: 0 })
  await lanes.start()
  running.push(lanes)
  return lanes
}

afterEach(async () => {
  banned.clear()
  for (const stranger of silent.splice(0)) stranger.destroy()
  for (const lanes of running.splice(0)) await lanes.stop()
})

test('both lanes are opened with the key that was offered, in any order, and carry each its own', async () => {
  const { offer, open } = (await listening()).offer()
  const come = laneTo(host, offer)
  const came = { messages: Promise.withResolvers<string>(), chunks: Promise.withResolvers<string>() }
  const accepted = (['messages', 'chunks'] as const).map((freight) =>
    open(freight, (bytes) => came[freight].resolve(Buffer.from(bytes).toString())),
  )
  for (const freight of ['chunks', 'messages'] as const) (await come(freight, () => {})).end(`some ${freight}`)
  expect(await came.messages.promise).toBe('some messages')
  expect(await came.chunks.promise).toBe('some chunks')
  for (const lane of accepted) (await lane).destroy()
})

test('a banned address is cut off before any handshake, whatever key it has', async () => {
  const { offer } = (await listening()).offer()
  banned.add(host)
  await expect(laneTo(host, offer)('chunks', () => {})).rejects.toMatchObject({ code: 'ECONNRESET' })
})

test('a lane whose bytes are no TLS any more is closed', async () => {
  const { offer, open } = (await listening()).offer()
  const accepted = open('chunks', () => {})
  const wire = connect(offer.port, host)
  const lane = tls.connect({
    socket: wire,
    ciphers: 'PSK-AES128-GCM-SHA256',
    maxVersion: 'TLSv1.2',
    pskCallback: () => ({ psk: offer.key, identity: `${Buffer.from(offer.id).toString('hex')} chunks` }),
    checkServerIdentity: () => undefined,
  })
  await once(lane, 'secureConnect')
  lane.on('error', () => {})
  const broken = await accepted
  wire.write('GET / HTTP/1.1')
  await new Promise((resolve) => broken.once('close', resolve))
  expect(broken.destroyed).toBe(true)
  lane.destroy()
})

test('who connects and says nothing, or no end of a greeting, is closed out in time', async () => {
  const { offer } = (await listening()).offer()
  const greeting = Uint8Array.of(0x16, 3, 1, 2, 0)
  const strangers = [connect(offer.port, host), connect(offer.port, host)]
  strangers[1]?.write(greeting)
  const closed = await Promise.all(strangers.map((stranger) => once(stranger.resume(), 'close')))
  expect(closed).toEqual([[false], [false]])
})

/** A connection from another address than ours, which says nothing. */
async function strangerTo(port: number): Promise<Socket> {
  const stranger = connect({ port, host, localAddress: '127.0.0.2' }).on('error', () => {})
  await once(stranger, 'connect')
  silent.push(stranger)
  return stranger.resume()
}

test('however many connect from one address and say nothing, lanes of others come', async () => {
  const { offer, open } = (await listening()).offer()
  const most = 2 * limits.peerConnectionsMax + limits.laneHandshakesPerHostMax
  for (let count = 0; count < most; count++) await strangerTo(offer.port)
  const opened = laneTo(host, offer)('messages', () => {})
  await open('messages', () => {})
  ;(await opened).destroy()
  const firstOnes = silent.slice(0, -limits.laneHandshakesPerHostMax)
  await until(() => firstOnes.every(({ closed }) => closed))
  expect(silent.filter(({ closed }) => !closed)).toHaveLength(limits.laneHandshakesPerHostMax)
})

test('a stop waits for no handshake, and nobody for a lane after it', async () => {
  const lanes = await listening()
  const { offer, open } = lanes.offer()
  // Awaited for as long as a handshake may take that begins now.
  const awaited = open('chunks', () => {}).catch((error: Error) => error.message)
  await strangerTo(offer.port)
  // Taken after the one before it.
  const lane = await laneTo(host, offer)('messages', () => {})
  lane.destroy()
  await lanes.stop()
  expect(await awaited).toBe('its listener was closed')
})
