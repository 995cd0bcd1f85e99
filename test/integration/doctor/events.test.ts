/** A whole agent in a pod, with an API on loopback: what its doctor finds is an Event there, and nothing waits for that. */
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import { startKubernetesApi } from '../../support/kubernetes/api.ts'
import { createEventCollection } from '../../support/kubernetes/event-collection.ts'
import { startLoneAgent } from '../../support/lone-agent.ts'

const guardian = createGuardian()
afterAll(() => guardian.close())

const eventsPod = 'infra/shoal-agent-x2x4k/0b6c2d4e'

/** Its content directory is not there. */
async function start(answer: Parameters<typeof startKubernetesApi>[1]) {
  const directory = await guardian.directory()
  const api = await startKubernetesApi(directory, answer)
  onTestFinished(() => api.close())
  const containerdContentDir = path.join(directory, 'content')
  const agent = await startLoneAgent(guardian, { eventsPod, containerdContentDir }, { kubernetes: api.pod })
  onTestFinished(() => agent.stop())
  const ops = `http://127.0.0.1:${agent.addresses.ops.port}`
  return { api, ops, mend: () => mkdir(path.join(containerdContentDir, 'blobs/sha256'), { recursive: true }) }
}

test('a fault at its start is an Event, and when it is mended another one', async () => {
  const collection = createEventCollection('infra')
  const { ops, mend } = await start(collection.answer)
  const afterLook = async (): Promise<number> => {
    await fetch(`${ops}/doctor`)
    return collection.events.length
  }
  await expect.poll(afterLook).toBe(1)
  await mend()
  await expect.poll(afterLook).toBe(2)
  expect(collection.events).toMatchObject([
    { type: 'Warning', reason: 'ContentDirUnreadable', regarding: { name: 'shoal-agent-x2x4k', uid: '0b6c2d4e' } },
    { type: 'Normal', reason: 'ContentDirUnreadableResolved' },
  ])
  expect(collection.refused).toEqual([])
})

test('without the right to write Events it runs all the same', async () => {
  const { api, ops } = await start(() => undefined)
  const afterLook = async (): Promise<number> => {
    await fetch(`${ops}/doctor`)
    return api.asked.length
  }
  await expect.poll(afterLook).toBeGreaterThan(1)
  expect((await fetch(`${ops}/readyz`)).status).toBe(200)
})
