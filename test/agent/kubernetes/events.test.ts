/** What a namespace's Events are while doctor finds this and that, over the agent's own client and HTTPS on loopback. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { clusterApi } from '../../../agent/kubernetes/cluster-api.ts'
import { createTeller } from '../../../agent/kubernetes/events.ts'
import { createFindingEvents } from '../../../core/doctor/events.ts'
import { finding } from '../../../core/doctor/findings.ts'
import { limits } from '../../../core/limits.ts'
import { startKubernetesApi } from '../../support/kubernetes/api.ts'
import { createEventCollection } from '../../support/kubernetes/event-collection.ts'
import { virtualClock } from '../../support/virtual-clock.ts'

const pod = { namespace: 'infra', name: 'shoal-agent-x2x4k', uid: '0b6c2d4e' }
const stale = finding('HOSTS_STALE', { file: '/a', reason: 'its CA is another one', flags: '' })
const discarded = finding('LAYERS_DISCARDED', { file: '/config.toml' })
const start = Date.UTC(2026, 10, 26, 12)

async function begin() {
  const directory = await mkdtemp(path.join(tmpdir(), 'shoal-events-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const collection = createEventCollection('infra')
  let isDown = false
  const api = await startKubernetesApi(directory, (objectPath, sent) =>
    isDown ? 500 : collection.answer(objectPath, sent),
  )
  onTestFinished(() => api.close())
  const clock = virtualClock()
  const lines: string[] = []
  const log = (level: string) => (fields: object, message: string) =>
    void lines.push([level, message, ...Object.values(fields)].join(' '))
  const logger = { info: log('info'), warn: log('warn') }
  const events = createFindingEvents(clock)
  const tell = createTeller({ api: clusterApi(api.pod), events, logger, now: () => start + clock.now() }, pod)
  // What is found by one look alone is not written.
  await tell([stale, discarded])
  return {
    collection,
    asked: api.asked,
    lines,
    setDown: (down: boolean) => void (isDown = down),
    /** A look every half an hour. */
    look: async (...found: Parameters<typeof tell>[0]): Promise<void> => {
      await tell(found)
      clock.advance(limits.eventAgainMs)
    },
  }
}

test('a finding is an Event of the pod that Kubernetes takes, and counts up', async () => {
  const { collection, asked, lines, look } = await begin()
  await look(stale, discarded)
  await look(stale)
  expect({ refused: collection.refused, lines }).toEqual({ refused: [], lines: [] })
  expect(collection.events).toEqual([
    {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { namespace: 'infra', name: 'shoal-agent-x2x4k.hosts-stale.1a217ba1200' },
      regarding: { apiVersion: 'v1', kind: 'Pod', ...pod },
      reportingController: 'shoal/agent',
      reportingInstance: 'shoal-agent-x2x4k',
      action: 'Diagnose',
      type: 'Warning',
      reason: 'HostsStale',
      note: `${stale.what}. ${stale.why}\n${stale.fix}`,
      eventTime: '2026-11-26T12:00:00.000000Z',
      series: { count: 2, lastObservedTime: '2026-11-26T12:30:00.000000Z' },
    },
    expect.objectContaining({ type: 'Normal', reason: 'LayersDiscarded' }),
    expect.objectContaining({ type: 'Normal', reason: 'LayersDiscardedResolved' }),
  ])
  expect(asked.map((request) => request.split(' ')[0])).toEqual(['POST', 'POST', 'PATCH', 'POST'])
})

test('an Event that Kubernetes has dropped is made again', async () => {
  const { collection, lines, look } = await begin()
  await look(stale)
  collection.dropAll()
  await look(stale)
  await look(stale)
  expect(collection.events).toMatchObject([{ reason: 'HostsStale', series: { count: 3 } }])
  expect(lines).toEqual([])
})

test('an API that fails is one line in the log and one request a look; then what is missing is written', async () => {
  const { collection, asked, lines, setDown, look } = await begin()
  setDown(true)
  await look(stale, discarded)
  await look(stale, discarded)
  const failed = 'warn Kubernetes Events can not be written /apis/events.k8s.io/v1/namespaces/infra/events: HTTP 500'
  expect({ lines, requests: asked.length }).toEqual({ lines: [failed], requests: 2 })
  setDown(false)
  await look(stale, discarded)
  expect(lines).toEqual([failed, 'info Kubernetes Events are written again'])
  expect(collection.events.map(({ reason }) => reason)).toEqual(['HostsStale', 'LayersDiscarded'])
})

test('a look that ends while another is told is not', async () => {
  const { collection, look } = await begin()
  await Promise.all([look(stale), look(stale, discarded)])
  expect(collection.events.map(({ reason }) => reason)).toEqual(['HostsStale'])
})
