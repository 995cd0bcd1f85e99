/** Zone and region of a Kubernetes Node, by the labels that clouds put on it. */
import { z } from 'zod'
import type { Place } from '../agent-options.ts'
import type { ClusterApi } from '../../agent/kubernetes/cluster-api.ts'

const nodeSchema = z.object({ metadata: z.object({ labels: z.record(z.string(), z.string()).default({}) }) })

/** What the Node lacks is left out. Rejects as `ClusterApi` does, or where what comes is no Node. */
export async function readNodePlace(get: ClusterApi['get'], nodeName: string): Promise<Place> {
  const { metadata } = nodeSchema.parse(await get(`/api/v1/nodes/${encodeURIComponent(nodeName)}`))
  const zone = metadata.labels['topology.kubernetes.io/zone']
  const region = metadata.labels['topology.kubernetes.io/region']
  // A label may have no value; that is no name of a zone.
  return { ...(zone && { zone }), ...(region && { region }) }
}
