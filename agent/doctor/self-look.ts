/** One look of the agent at itself: what its parts know, what can be seen of the node from here, and what follows of that. */
import type { Finding } from '../../core/doctor/findings.ts'
import { judge } from '../../core/doctor/judge.ts'
import type { Clock, Random } from '../../core/ports.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { AgentConfig } from '../config.ts'
import type { ServerCertificate } from '../mirror-tls/server-certificate.ts'
import type { OriginClient } from '../upstream/origin-client.ts'
import type { ContainerdAsks } from './containerd-asks.ts'
import { gatherSelf } from './gather.ts'
import type { RangeNotes } from './ranges.ts'

export interface SelfSources {
  readonly clock: Clock
  readonly random: Random
  readonly cluster: Pick<Cluster, 'others'>
  readonly asks: Pick<ContainerdAsks, 'askedAgoMs' | 'version'>
  readonly originClient: Pick<OriginClient, 'hostsResting'>
  readonly ranges: Pick<RangeNotes, 'unranged'>
  /** Undefined where the mirror speaks plain HTTP. */
  readonly guard: { readonly certificate: Pick<ServerCertificate, 'failure'> } | undefined
  readonly startedMs: number
}

export async function lookFromWithin(config: AgentConfig, sources: SelfSources): Promise<Finding[]> {
  const { clock, random, cluster, asks, originClient, ranges, guard, startedMs } = sources
  const others = cluster.others()
  const inside = {
    upMs: clock.now() - startedMs,
    askedAgoMs: asks.askedAgoMs(),
    certificateFailure: guard?.certificate.failure(),
    resting: originClient.hostsResting(),
    unranged: ranges.unranged(),
  }
  // Another one each time: so all are tried, and each as often as it tries others.
  const at = random.below(Math.max(others.length, 1))
  const tried = others.slice(at, at + 1)
  const facts = await gatherSelf(config, { inside, others: tried, containerdVersion: asks.version() })
  // Until containerd asks nobody can know, and that is no fault.
  return judge(facts).filter(({ code }) => code !== 'CONTAINERD_VERSION_UNKNOWN')
}
