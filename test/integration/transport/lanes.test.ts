import { once } from 'node:events'
import { connect } from 'node:net'
import tls from 'node:tls'
import { afterEach, expect, test } from 'vitest'
import { createLanes, laneTo, type Lanes } from '../../../agent/transport/lanes.ts'

const host = '127.0.0.1'
const banned = new Set<string>()
const running: Lanes[] = []

async function listening(): Promise<Lanes> {
  const lanes = createLanes({ isBanned: (who) => banned.has(who) }, { host, port: 0 })
  await lanes.start()
  running.push(lanes)
  return lanes
}

afterEach(async () => {
  banned.clear()
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
