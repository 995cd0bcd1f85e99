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

test('a lane is opened with the key that was offered, and carries bytes', async () => {
  const { offer, open } = (await listening()).offer()
  const { promise: came, resolve } = Promise.withResolvers<string>()
  const [accepted, opened] = await Promise.all([
    open((bytes) => resolve(Buffer.from(bytes).toString())),
    laneTo(host, offer)(() => {}),
  ])
  opened.end('chunks')
  expect(await came).toBe('chunks')
  accepted.destroy()
})

test('a banned address is cut off before any handshake, whatever key it has', async () => {
  const { offer } = (await listening()).offer()
  banned.add(host)
  await expect(laneTo(host, offer)(() => {})).rejects.toMatchObject({ code: 'ECONNRESET' })
})
