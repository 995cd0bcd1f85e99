import { afterAll, beforeAll, describe } from 'vitest'
import { systemClock } from '../../agent/system/clock.ts'
import { createOriginClient } from '../../agent/upstream/origin-client.ts'
import { type HostileOrigin, serveRegistry, startHostileOrigin } from '../support/hostile-origin.ts'
import { createMemoryOrigin } from '../support/memory-origin.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { contractRepositories, originContract, type OriginUnderTest } from './origin.ts'

describe('the origin client of an agent', () => {
  let server: HostileOrigin
  let underTest: OriginUnderTest
  beforeAll(async () => {
    server = await startHostileOrigin({ answer: serveRegistry(contractRepositories) })
    const components = { clock: systemClock, random: seededRandom('origin'), logger: { warn: () => undefined } }
    const client = createOriginClient(components, { origins: [{ host: server.host, plainHttp: true }] })
    underTest = { client, origin: server.host }
  })
  afterAll(async () => {
    await underTest.client.close()
    await server.stop()
  })
  originContract(() => underTest)
})

describe('the origin client of tests', () => {
  const client = createMemoryOrigin({ 'registry.example.com:5000': contractRepositories })
  originContract(() => ({ client, origin: 'registry.example.com:5000' }))
})
