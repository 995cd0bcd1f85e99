/** From what was found out about a node to what is wrong with it. Pure: each rule is a row of a table in test/core/doctor. */
import { limits } from '../limits.ts'
import { minute, second } from '../units.ts'
import { judgeClock, judgeCluster } from './cluster.ts'
import { judgeContainerd, judgeContent } from './containerd.ts'
import type { ContainerdFacts, DiskFacts, Facts, InsideFacts, NodeSettings, OriginFacts } from './facts.ts'
import { finding, type Finding, sortFindings } from './findings.ts'
import { judgeMirror } from './mirror.ts'

export function judge(facts: Facts): Finding[] {
  const { settings, containerd, content, disk, cluster, origins, inside, exposed, image } = facts
  return sortFindings([
    ...(containerd === undefined ? [] : judgeContainerd(containerd, settings)),
    ...judgeMirror(facts),
    ...(image === undefined || image.answer.ok
      ? []
      : [finding('IMAGE_NOT_SERVED', { image: image.image, reason: image.answer.reason })]),
    ...(content === undefined ? [] : judgeContent(content, contentRootOf(containerd))),
    ...(exposed === undefined || exposed.length === 0
      ? []
      : [finding('SECRETS_READABLE', { files: exposed.join(' ') })]),
    ...(disk === undefined ? [] : judgeDisk(disk, settings)),
    ...(cluster === undefined ? [] : judgeCluster(cluster, settings)),
    ...(origins ?? []).flatMap(judgeOrigin),
    ...judgeClock(facts),
    ...(inside === undefined ? [] : judgeInside(inside, settings)),
  ])
}

function contentRootOf(containerd: ContainerdFacts | undefined): string | undefined {
  if (containerd?.config.kind !== 'read') return undefined
  return `${containerd.config.root}/io.containerd.content.v1.content`
}

function judgeDisk(disk: DiskFacts, { ceilingPercent: ceiling }: NodeSettings): Finding[] {
  const { directory, writable, volatile: filesystem, sparse, usedPercent, inodesFreePercent } = disk
  const findings: Finding[] = []
  if (!writable.ok) findings.push(finding('DATA_DIR_UNUSABLE', { directory, reason: writable.reason }))
  if (filesystem !== undefined) findings.push(finding('DATA_DIR_VOLATILE', { directory, filesystem }))
  if (sparse === false) findings.push(finding('DATA_DIR_NOT_SPARSE', { directory }))
  if (usedPercent !== undefined && usedPercent > ceiling)
    findings.push(finding('DISK_SPACE_LOW', { directory, used: Math.floor(usedPercent), ceiling }))
  if (inodesFreePercent !== undefined && inodesFreePercent < limits.storeInodesFreeMin * 100)
    findings.push(finding('INODES_LOW', { directory, free: Math.floor(inodesFreePercent) }))
  return findings
}

function judgeOrigin({ origin, host, url, answer, tokens, ranged }: OriginFacts): Finding[] {
  const at = { origin, host, url: quotable(url) }
  switch (answer.kind) {
    case 'no name':
      return [finding('ORIGIN_NAME_UNKNOWN', { ...at, reason: answer.reason })]
    case 'untrusted':
      return [finding('ORIGIN_UNTRUSTED', { ...at, reason: answer.reason })]
    case 'forbidden':
      return [finding('ORIGIN_FORBIDDEN', { ...at, reason: answer.reason })]
    case 'unreachable':
      return [finding('ORIGIN_UNREACHABLE', { ...at, reason: answer.reason })]
    case 'answered':
      return [
        ...(tokens === undefined || tokens.answer.ok
          ? []
          : [
              finding('TOKEN_SERVICE_UNREACHABLE', {
                ...tokens,
                url: quotable(tokens.url),
                origin,
                reason: tokens.answer.reason,
              }),
            ]),
        ...(ranged === false ? [finding('ORIGIN_WITHOUT_RANGES', { origin })] : []),
      ]
  }
}

/** For single quotes: a registry names hosts and token services as it likes, and root pastes what doctor says. */
function quotable(url: string): string {
  return url.replaceAll("'", '%27')
}

function judgeInside(inside: InsideFacts, { ops }: NodeSettings): Finding[] {
  const { certificateFailure, descriptorsMax: limit, resting, unranged } = inside
  const wanted = limits.descriptorsMin
  return [
    ...judgePulls(inside, ops),
    ...(certificateFailure === undefined ? [] : [finding('MIRROR_CERTIFICATE_STALE', { reason: certificateFailure })]),
    ...(limit === undefined || limit >= wanted ? [] : [finding('DESCRIPTORS_FEW', { limit, wanted })]),
    ...resting.map(({ origin, host }) =>
      finding('ORIGIN_UNREACHABLE', {
        origin,
        host,
        url: quotable(`https://${host}/v2/`),
        reason: 'it failed several times in a row',
      }),
    ),
    ...unranged.map((origin) => finding('ORIGIN_WITHOUT_RANGES', { origin })),
  ]
}

/** What came through the mirror is committed soon after its last answer; what was under way at the start, soon after that. */
function judgePulls({ upMs, askedAgoMs, newContentAgoMs }: InsideFacts, ops: string): Finding[] {
  if (newContentAgoMs === undefined) return []
  const lastMs = askedAgoMs ?? upMs
  if (lastMs - newContentAgoMs <= limits.doctorCommitMs) return []
  const since = askedAgoMs === undefined ? `since the agent started, ${ago(upMs)} ago` : `for ${ago(askedAgoMs)}`
  return [finding('PULLS_PASS_BY', { ago: ago(newContentAgoMs), since, ops })]
}

function ago(ms: number): string {
  return Math.abs(ms) < minute ? `${Math.round(ms / second)} s` : `${Math.round(ms / minute)} min`
}
