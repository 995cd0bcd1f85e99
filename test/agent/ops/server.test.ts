import { once } from 'node:events'
import http from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { type OpsServer, type Readiness, startOpsServer } from '../../../agent/ops/server.ts'
import { createMetrics } from '../../../agent/metrics.ts'
import { lacks, outsideAddress } from '../../support/needs.ts'

const servers: OpsServer[] = []
afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())))

async function start(parts: Record<string, () => Readiness>, pages: Record<string, () => Promise<object>> = {}) {
  const metrics = createMetrics()
  const server = await startOpsServer(
    { metrics, parts: new Map(Object.entries(parts)), localPages: new Map(Object.entries(pages)) },
    { host: '127.0.0.1', port: 0 },
  )
  servers.push(server)
  const get = (path: string) => fetch(`http://127.0.0.1:${server.address.port}${path}`)
  return { metrics, get }
}

test('is alive as soon as it listens', async () => {
  const { get } = await start({ store: () => ({ ready: false, reason: 'still reading' }) })
  expect((await get('/healthz')).status).toBe(200)
})

test('is ready when every part is, and says which are not and why', async () => {
  let store: Readiness = { ready: false, reason: 'still reading' }
  const { get } = await start({ store: () => store, members: () => ({ ready: true }) })
  const before = await get('/readyz')
  expect(before.status).toBe(503)
  expect(await before.json()).toEqual({
    ready: false,
    parts: { store: { ready: false, reason: 'still reading' }, members: { ready: true } },
  })
  store = { ready: true }
  expect((await get('/readyz')).status).toBe(200)
})

test('shows the metrics in the Prometheus format', async () => {
  const { metrics, get } = await start({})
  metrics.set('shoal_members', 7)
  const response = await get('/metrics')
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
  expect(await response.text()).toContain('\nshoal_members 7\n')
})

test('a page for this node is made for each who asks', async () => {
  let asked = 0
  const { get } = await start({}, { doctor: async () => ({ asked: ++asked }) })
  expect(await (await get('/doctor')).json()).toEqual({ asked: 1 })
  expect(await (await get('/doctor')).json()).toEqual({ asked: 2 })
})

test.skipIf(lacks('network'))(
  'a page for this node is neither shown to who asks from elsewhere, nor made',
  async () => {
    let asked = 0
    const { get } = await start({}, { doctor: async () => ({ asked: ++asked }) })
    const { port } = new URL((await get('/healthz')).url)
    const statusFrom = async (localAddress: string): Promise<number | undefined> => {
      const [response] = await once(http.get({ port, path: '/doctor', localAddress, agent: false }), 'response')
      return response.resume().statusCode
    }
    expect(await statusFrom(outsideAddress() ?? '')).toBe(404)
    expect(asked).toBe(0)
    expect(await statusFrom('127.0.0.1')).toBe(200)
  },
)

test('anything else is not found', async () => {
  const { get } = await start({})
  expect((await get('/debug')).status).toBe(404)
})
