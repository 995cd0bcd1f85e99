/** Asks seeds, and other members, as a member does: who are you, do you know our secret, what time is it? */
import type { Checked, ClusterFacts, MemberAnswer } from '../../core/doctor/facts.ts'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { PeerId } from '../../core/ports.ts'
import { createClusterClient, type ClusterClient } from '../cluster/client.ts'
import { macKeysOf } from '../cluster/mac.ts'
import { seedResolver } from '../cluster/seeds.ts'
import { lookCall } from '../cluster/wire.ts'
import { type ClusterSecrets, readClusterSecrets } from '../cluster-secret.ts'
import { formatHostPort, type HostPort } from '../config-values.ts'
import type { AgentConfig } from '../config.ts'
import { createIdentity } from '../identity/identity.ts'
import { probePeer, type ProbedPort } from '../transport/probe.ts'
import { check, innermostReason, inTime, reasonOf } from './reasons.ts'

export interface MembersQuestion {
  /** `host:port` of cluster listeners that are no seeds. */
  readonly others: readonly HostPort[]
  /** Which of all are asked for their peers and bulk ports too: handshakes cost both sides milliseconds. */
  readonly isDialed: (at: HostPort) => boolean
}

export async function lookAtCluster(config: AgentConfig, question: MembersQuestion): Promise<ClusterFacts> {
  const { seedsDns, seedsDnsServers } = config
  const { secret, secrets } = await readSecrets(config)
  if (secrets === undefined) return { secret, members: [] }
  const named = seedsDns && (await addressesBehind(seedsDns, seedsDnsServers))
  const seeds = [...config.seeds, ...(named?.found ?? [])].filter((at) => !isSelf(at, config)).slice(0, limits.seedsMax)
  const self = createIdentity().peer
  const client = createClusterClient({ self, keys: macKeysOf(secrets) })
  const asking = { self, client, secrets, question }
  try {
    const members = await Promise.all([
      ...seeds.map((at) => ask(asking, at, true)),
      ...question.others.map((at) => ask(asking, at, false)),
    ])
    return { secret, seedsName: seedsDns && named && { name: seedsDns.host, answer: named.answer }, members }
  } finally {
    client.close()
  }
}

async function readSecrets(config: AgentConfig): Promise<{ secret: Checked; secrets: ClusterSecrets | undefined }> {
  try {
    return { secret: { ok: true }, secrets: await readClusterSecrets(config, { warn: () => {} }) }
  } catch (error) {
    return { secret: { ok: false, reason: reasonOf(error) }, secrets: undefined }
  }
}

/** The agent here is asked at its own listeners. */
function isSelf({ host, port }: HostPort, { advertiseAddress, clusterListen }: AgentConfig): boolean {
  return host === advertiseAddress && port === clusterListen.port
}

async function addressesBehind(
  { host: name, port }: HostPort,
  servers: readonly string[],
): Promise<{ answer: Checked; found: HostPort[] }> {
  let found: HostPort[] = []
  const answer = await check(async () => {
    const addresses = await inTime(seedResolver(servers)(name))
    found = addresses.toSorted().map((host) => ({ host, port }))
  })
  return { answer, found }
}

interface Asking {
  readonly self: PeerId
  readonly client: ClusterClient
  readonly secrets: ClusterSecrets
  readonly question: MembersQuestion
}

async function ask(asking: Asking, at: HostPort, isSeed: boolean): Promise<MemberAnswer> {
  return { address: formatHostPort(at), ...at, isSeed, answer: await answerOf(asking, at) }
}

async function answerOf({ self, client, secrets, question }: Asking, at: HostPort): Promise<MemberAnswer['answer']> {
  try {
    const askedMs = Date.now()
    const { peer, addresses, timeMs } = await client.call(lookCall, undefined, formatHostPort(at), { from: self })
    const aheadMs = timeMs - (askedMs + Date.now()) / 2
    if (!question.isDialed(at)) return { kind: 'member', aheadMs }
    const probe = await probePeer(secrets, peer, addresses, AbortSignal.timeout(limits.doctorQuestionMs))
    return {
      kind: 'member',
      aheadMs,
      peers: portAnswer(probe.peers),
      ...(probe.bulk && { bulk: portAnswer(probe.bulk) }),
    }
  } catch (error) {
    if (error instanceof ShoalError && error.code === 'CLUSTER_MAC_WRONG') return { kind: 'other secret' }
    return { kind: 'unreachable', reason: innermostReason(error) }
  }
}

function portAnswer({ host, port, error }: ProbedPort): { host: string; port: number; answer: Checked } {
  return { host, port, answer: error === undefined ? { ok: true } : { ok: false, reason: reasonOf(error) } }
}
