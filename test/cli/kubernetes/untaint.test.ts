import { expect, test } from 'vitest'
import { untaintReadyNodes } from '../../../cli/kubernetes/untaint.ts'

const key = 'shoal/agent-not-ready'
const own = { key, effect: 'NoSchedule' }
const other = { key: 'other', effect: 'NoExecute', value: 'x' }
const slices =
  '/apis/discovery.k8s.io/v1/namespaces/infra/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dshoal-agent'

interface Look {
  readonly serving: readonly string[]
  readonly notReady?: readonly string[]
  readonly terminating?: readonly string[]
}

/** One look after the other; then it is stopped. */
async function run(nodes: Record<string, object[]>, looks: readonly (Look | Error)[]) {
  const patches: unknown[] = []
  const asked: string[] = []
  let said = ''
  let look = 0
  await untaintReadyNodes(
    {
      api: {
        async get(path) {
          const now = looks[look]
          if (path === slices) {
            if (now instanceof Error || now === undefined) throw now ?? new Error('over')
            return { items: [{ endpoints: endpointsOf(now) }, { endpoints: null }] }
          }
          asked.push(path)
          return {
            metadata: { resourceVersion: '7' },
            spec: { taints: nodes[path.replace('/api/v1/nodes/', '')] },
          }
        },
        async merge(path, patch) {
          if (path.endsWith('/refused')) throw new Error(`${path}: HTTP 403`)
          patches.push([path, patch])
          return true
        },
      },
      pause: async () => (look += 1),
      print: (text) => (said += text),
      isStopped: () => look >= looks.length,
    },
    { service: { namespace: 'infra', name: 'shoal-agent' }, taint: key },
  )
  return { patches, asked, said }
}

function endpointsOf({ serving, notReady = [], terminating = [] }: Look): object[] {
  return [
    ...serving.map((nodeName) => ({ nodeName, conditions: { ready: true, serving: true } })),
    ...notReady.map((nodeName) => ({ nodeName, conditions: { ready: true, serving: false } })),
    ...terminating.map((nodeName) => ({ nodeName, conditions: { ready: true, serving: true, terminating: true } })),
  ]
}

test('the taint of a node whose agent is ready goes, the others stay, and nobody overwrites what came meanwhile', async () => {
  const { patches, said } = await run({ a: [own, other] }, [{ serving: ['a'] }])
  const patch = { metadata: { resourceVersion: '7' }, spec: { taints: [other] } }
  expect(patches).toEqual([['/api/v1/nodes/a', patch]])
  expect(said).toBe('a: its agent is ready; shoal/agent-not-ready is gone\n')
})

test('nodes whose agent is not ready, or going, keep it', async () => {
  const { asked } = await run({ a: [own], b: [own] }, [{ serving: [], notReady: ['a'], terminating: ['b'] }])
  expect(asked).toEqual([])
})

test('a node without it is looked at once', async () => {
  const { patches, asked } = await run({ a: [other] }, [{ serving: ['a'] }, { serving: ['a'] }])
  expect({ patches, asked }).toEqual({ patches: [], asked: ['/api/v1/nodes/a'] })
})

test('a node of the same name that comes later is looked at again', async () => {
  const { asked } = await run({ a: [] }, [{ serving: ['a'] }, { serving: [] }, { serving: ['a'] }])
  expect(asked).toEqual(['/api/v1/nodes/a', '/api/v1/nodes/a'])
})

test('what fails is said and tried again', async () => {
  const { patches, said } = await run({ a: [own] }, [new Error('HTTP 503'), { serving: ['a'] }])
  expect(said).toBe('HTTP 503\na: its agent is ready; shoal/agent-not-ready is gone\n')
  expect(patches).toHaveLength(1)
})

test('a node that may not be changed is tried again, and keeps no other waiting', async () => {
  const serving = ['refused', 'a']
  const { asked, said } = await run({ refused: [own], a: [own] }, [{ serving }, { serving }])
  const refused = '/api/v1/nodes/refused: HTTP 403\n'
  expect(said).toBe(`${refused}a: its agent is ready; shoal/agent-not-ready is gone\n${refused}`)
  expect(asked).toEqual(['/api/v1/nodes/refused', '/api/v1/nodes/a', '/api/v1/nodes/refused'])
})
