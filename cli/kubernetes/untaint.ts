/**
 * Takes the taint off nodes whose agent is ready, with which they were registered so that nothing else starts there before. One
 * process does so for the cluster: the right to change Nodes is not for agents.
 */
import { z } from 'zod'
import { limits } from '../../core/limits.ts'
import type { ObjectName } from './await-daemonset.ts'
import type { ClusterApi } from '../../agent/kubernetes/cluster-api.ts'

type Untainting = Pick<ClusterApi, 'get' | 'merge'>

export interface UntaintComponents {
  readonly api: Untainting
  readonly pause: (ms: number) => Promise<unknown>
  readonly print: (text: string) => void
  readonly isStopped: () => boolean
}

export interface UntaintOptions {
  /** Of the agents; its slices say on which nodes one is ready, in a fraction of what pods or nodes would take. */
  readonly service: ObjectName
  /** Its key; whatever value and effect it has. */
  readonly taint: string
}

const slicesSchema = z.object({
  items: z.array(
    z.object({
      endpoints: z
        .array(
          z.object({
            nodeName: z.string().optional(),
            conditions: z
              .object({ serving: z.boolean().default(false), terminating: z.boolean().default(false) })
              .prefault({}),
          }),
        )
        .nullish(),
    }),
  ),
})

const nodeSchema = z.object({
  metadata: z.object({ resourceVersion: z.string() }),
  spec: z.object({ taints: z.array(z.looseObject({ key: z.string() })).default([]) }).prefault({}),
})

/** Runs until it is stopped. What fails is said, and tried again. */
export async function untaintReadyNodes(components: UntaintComponents, options: UntaintOptions): Promise<void> {
  const { api, pause, print, isStopped } = components
  let done = new Set<string>()
  const orSay = async (act: () => Promise<void>): Promise<void> => {
    try {
      await act()
    } catch (error) {
      print(`${error instanceof Error ? error.message : String(error)}\n`)
    }
  }
  while (!isStopped()) {
    await orSay(async () => {
      const ready = await readyNodes(api, options.service)
      // One that was not ready in between may be another node of that name, with a taint of its own.
      done = done.intersection(ready)
      for (const node of ready.difference(done)) {
        // Each by itself: one that is refused keeps no other waiting.
        await orSay(async () => {
          if (await untaint(api, node, options.taint)) print(`${node}: its agent is ready; ${options.taint} is gone\n`)
          done.add(node)
        })
      }
    })
    await pause(limits.untaintLookMs)
  }
}

/** The slices say `ready` of all, since their Service publishes those that are not; `serving` tells them apart. */
async function readyNodes({ get }: Untainting, { namespace, name }: ObjectName): Promise<Set<string>> {
  const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D${name}`
  const { items } = slicesSchema.parse(await get(path))
  const endpoints = items.flatMap((slice) => slice.endpoints ?? [])
  const serving = endpoints.filter(({ conditions }) => conditions.serving && !conditions.terminating)
  return new Set(serving.flatMap(({ nodeName }) => nodeName ?? []))
}

/** False where it had none. */
async function untaint({ get, merge }: Untainting, node: string, key: string): Promise<boolean> {
  const path = `/api/v1/nodes/${encodeURIComponent(node)}`
  const { metadata, spec } = nodeSchema.parse(await get(path))
  const others = spec.taints.filter((taint) => taint.key !== key)
  if (others.length === spec.taints.length) return false
  // The version, since a list is replaced as a whole: a taint that came meanwhile must stay.
  return merge(path, { metadata: { resourceVersion: metadata.resourceVersion }, spec: { taints: others } })
}
