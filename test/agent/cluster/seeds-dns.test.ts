/** The name of the seeds, asked of DNS servers on loopback. */
import { expect, onTestFinished, test } from 'vitest'
import { watchSeeds } from '../../../agent/cluster/seeds.ts'
import { systemClock } from '../../../agent/system/clock.ts'
import { type DnsServer, startDnsServer } from '../../support/dns-server.ts'

const name = 'shoal-agent.shoal-system.svc.cluster.local'

async function serve(...parameters: Parameters<typeof startDnsServer>): Promise<DnsServer> {
  const server = await startDnsServer(...parameters)
  onTestFinished(() => server.close())
  return server
}

/** What is told first. */
async function seedsBy(servers: readonly DnsServer[]): Promise<readonly string[]> {
  const told = Promise.withResolvers<readonly string[]>()
  const options = {
    seeds: [],
    seedsDns: { host: name, port: 5052 },
    seedsDnsServers: servers.map(({ address }) => address),
  }
  const watch = watchSeeds({ clock: systemClock }, options, told.resolve)
  onTestFinished(() => watch.stop())
  return told.promise
}

test('addresses of both families, of the name as it is given', async () => {
  const server = await serve({ [name]: ['fd00::7', '10.0.0.9', '10.0.0.10'] })
  expect(await seedsBy([server])).toEqual(['10.0.0.10:5052', '10.0.0.9:5052', '[fd00::7]:5052'])
  expect(new Set(server.asked)).toEqual(new Set([name]))
})

test('a family that has none, or whose look-up fails, does not hide the other', async () => {
  expect(await seedsBy([await serve({ [name]: ['10.0.0.9'] })])).toEqual(['10.0.0.9:5052'])
  expect(await seedsBy([await serve({ [name]: ['fd00::7', '10.0.0.9'] }, ['ipv4'])])).toEqual(['[fd00::7]:5052'])
})

test('a server that is gone is followed by the next', async () => {
  const gone = await startDnsServer({})
  gone.close()
  expect(await seedsBy([gone, await serve({ [name]: ['10.0.0.9'] })])).toEqual(['10.0.0.9:5052'])
})
