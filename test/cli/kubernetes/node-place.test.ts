/** What an agent learns of its Node, from an API on loopback. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { clusterApi } from '../../../agent/kubernetes/cluster-api.ts'
import { readNodePlace } from '../../../cli/kubernetes/node-place.ts'
import { startKubernetesApi } from '../../support/kubernetes/api.ts'

const labels = { 'topology.kubernetes.io/zone': 'eu-west-1a', 'topology.kubernetes.io/region': 'eu-west-1' }

async function podOf(answer: (objectPath: string) => unknown) {
  const directory = await mkdtemp(path.join(tmpdir(), 'shoal-kubernetes-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const api = await startKubernetesApi(directory, answer)
  onTestFinished(() => api.close())
  return { api, ...clusterApi(api.pod) }
}

test('zone and region by the labels of the one Node', async () => {
  const { api, get } = await podOf(() => ({ metadata: { labels } }))
  expect(await readNodePlace(get, 'n1')).toEqual({ zone: 'eu-west-1a', region: 'eu-west-1' })
  expect(api.asked).toEqual(['GET /api/v1/nodes/n1'])
})

test('a Node without the labels has none', async () => {
  const { get } = await podOf(() => ({ metadata: {} }))
  expect(await readNodePlace(get, 'n1')).toEqual({})
})

test('a label without a value says nothing, as a variable without one', async () => {
  const unnamed = { ...labels, 'topology.kubernetes.io/zone': '' }
  const { get } = await podOf(() => ({ metadata: { labels: unnamed } }))
  expect(await readNodePlace(get, 'n1')).toEqual({ region: 'eu-west-1' })
})

test('without the right to read it: says so, once', async () => {
  const { api, get } = await podOf(() => undefined)
  await expect(readNodePlace(get, 'n1')).rejects.toMatchObject({
    code: 'KUBERNETES_FAILED',
    detail: '/api/v1/nodes/n1: HTTP 403',
  })
  expect(api.asked).toHaveLength(1)
})

test('an API that is not ready yet is asked again', async () => {
  const answers: unknown[] = [503, { metadata: { labels } }]
  const { get } = await podOf(() => answers.shift())
  expect(await readNodePlace(get, 'n1')).toMatchObject({ zone: 'eu-west-1a' })
})

test('what is merged into an object is sent once, as the API wants it', async () => {
  const { api, merge } = await podOf(() => ({}))
  await merge('/api/v1/nodes/n1', { spec: { taints: [] } })
  expect(api.asked).toEqual(['PATCH /api/v1/nodes/n1 application/merge-patch+json {"spec":{"taints":[]}}'])
  const { api: busy, merge: mergeInVain } = await podOf(() => 409)
  await expect(mergeInVain('/api/v1/nodes/n1', {})).rejects.toMatchObject({ detail: '/api/v1/nodes/n1: HTTP 409' })
  expect(busy.asked).toHaveLength(1)
})

test('one that the CA of the cluster did not certify is told nothing', async () => {
  const { api: impostor } = await podOf(() => ({ metadata: { labels } }))
  const { api } = await podOf(() => undefined)
  const { get } = clusterApi({ ...api.pod, env: impostor.pod.env })
  await expect(readNodePlace(get, 'n1')).rejects.toMatchObject({ code: 'KUBERNETES_FAILED' })
  expect(impostor.asked).toEqual([])
})

test('outside of a pod: says so', async () => {
  await expect(readNodePlace(clusterApi({ env: {} }).get, 'n1')).rejects.toMatchObject({
    detail: '/api/v1/nodes/n1: this process runs in no pod',
  })
})
