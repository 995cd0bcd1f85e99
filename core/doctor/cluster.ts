/** Does this node reach the others, and do they take it for one of theirs? */
import { limits } from '../limits.ts'
import { second } from '../units.ts'
import type { ClusterFacts, Facts, MemberAnswer, NodeSettings, PortAnswer } from './facts.ts'
import { finding, type Finding } from './findings.ts'

export function judgeCluster({ secret, seedsName, members }: ClusterFacts, settings: NodeSettings): Finding[] {
  const file = settings.secretFile ?? ''
  if (!secret.ok) return [finding('CLUSTER_SECRET_UNUSABLE', { reason: secret.reason, file })]
  return [
    ...(seedsName === undefined || seedsName.answer.ok
      ? []
      : [finding('SEEDS_NAME_UNKNOWN', { name: seedsName.name, reason: seedsName.answer.reason })]),
    ...judgeSeeds(members),
    ...members.flatMap((member) => judgeMember(member, file)),
  ]
}

/** One that answers, with whatever secret, is reached. */
function judgeSeeds(members: readonly MemberAnswer[]): Finding[] {
  const seeds = members.filter(({ isSeed }) => isSeed)
  const silent = seeds.flatMap(({ address: peer, host, port, answer }) =>
    answer.kind === 'unreachable' ? [{ peer, host, port, reason: answer.reason }] : [],
  )
  const [first] = silent
  if (first === undefined) return []
  if (silent.length < seeds.length) return silent.map((seed) => finding('SEED_UNREACHABLE', seed))
  const reason = silent.map(({ peer, reason: because }) => `${peer} ${because}`).join(', ')
  return [finding('SEEDS_UNREACHABLE', { ...first, reason })]
}

function judgeMember({ address: peer, answer }: MemberAnswer, file: string): Finding[] {
  if (answer.kind === 'other secret') return [finding('CLUSTER_SECRET_MISMATCH', { peer, file })]
  if (answer.kind === 'unreachable') return []
  return [
    ...judgePort('PEERS_PORT_UNREACHABLE', peer, answer.peers),
    ...judgePort('BULK_PORT_UNREACHABLE', peer, answer.bulk),
  ]
}

function judgePort(
  code: 'PEERS_PORT_UNREACHABLE' | 'BULK_PORT_UNREACHABLE',
  peer: string,
  asked: PortAnswer | undefined,
): Finding[] {
  if (asked === undefined || asked.answer.ok) return []
  return [finding(code, { peer, host: asked.host, port: asked.port, reason: asked.answer.reason })]
}

/** Of all who said what time it is. */
export function judgeClock({ cluster, origins }: Pick<Facts, 'cluster' | 'origins'>): Finding[] {
  const told = [
    ...(cluster?.members ?? []).flatMap(({ address, answer }) =>
      answer.kind === 'member' ? [{ name: address, aheadMs: answer.aheadMs }] : [],
    ),
    ...(origins ?? []).flatMap(({ host, answer }) =>
      answer.kind === 'answered' && answer.aheadMs !== undefined ? [{ name: host, aheadMs: answer.aheadMs }] : [],
    ),
  ]
  const off = told.filter(({ aheadMs }) => Math.abs(aheadMs) > limits.doctorClockSkewMs)
  const [first] = off
  if (first === undefined) return []
  const skew = `${Math.round(Math.abs(first.aheadMs) / second)} s ${first.aheadMs > 0 ? 'behind' : 'ahead of'}`
  return [finding('CLOCK_SKEWED', { skew, others: off.map(({ name }) => name).join(', ') })]
}
