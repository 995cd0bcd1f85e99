/** Asks registries as the agent does: the same names, addresses, proxies and CAs. */
import type { OriginAnswer, OriginFacts } from '../../core/doctor/facts.ts'
import { limits } from '../../core/limits.ts'
import { discard } from '../upstream/bodies.ts'
import { parseChallenges } from '../upstream/challenges.ts'
import { createDispatchers, type Dispatchers } from '../upstream/dispatchers.ts'
import { createEgress, type Egress, resolveBySystem, type Site } from '../upstream/egress.ts'
import { type Answer, createSend, type Send } from '../upstream/exchange.ts'
import { singleHeader } from '../upstream/headers.ts'
import { isOriginError } from '../upstream/origin-error.ts'
import { apiUrl, type OriginClientOptions } from '../upstream/origin-client.ts'
import { check, innermostReason } from './reasons.ts'

interface Asking {
  readonly egress: Egress
  readonly send: Send
}

export async function lookAtOrigins(
  origins: readonly string[],
  options: OriginClientOptions,
): Promise<readonly OriginFacts[]> {
  const timeouts = { headersTimeoutMs: limits.doctorQuestionMs, bodyIdleTimeoutMs: limits.doctorQuestionMs }
  const originCaFiles = (options.origins ?? []).flatMap(({ caFiles }) => caFiles ?? [])
  const dispatchers: Dispatchers = createDispatchers(resolveBySystem, { ...options, ...timeouts, originCaFiles })
  const asking = { egress: createEgress(options), send: createSend(dispatchers, () => {}) }
  try {
    return await Promise.all(origins.slice(0, limits.doctorOriginsMax).map((origin) => look(asking, origin)))
  } finally {
    await dispatchers.close()
  }
}

async function look(asking: Asking, origin: string): Promise<OriginFacts> {
  let site: Site
  try {
    site = asking.egress.site(origin)
  } catch (error) {
    return { origin, host: origin, url: origin, answer: failure(error) }
  }
  const url = apiUrl(site.baseUrl, '')
  const at = { origin: site.origin, host: url.host, url: url.href }
  try {
    const answer = await ask(asking, site, url)
    const tokens = await lookAtTokens(asking, site, url, answer)
    return { ...at, answer: { kind: 'answered', aheadMs: aheadOf(answer) }, tokens }
  } catch (error) {
    return { ...at, answer: failure(error) }
  }
}

/** Any answer is one, but that something is broken there. */
async function ask({ egress, send }: Asking, site: Site, url: URL, target = egress.target(site, url)): Promise<Answer> {
  const signal = AbortSignal.timeout(limits.doctorQuestionMs)
  const answer = await send(site, target, { method: 'GET', repository: '' }, undefined, signal)
  discard(answer.body)
  if (answer.status >= 500) throw new Error(`it answers ${answer.status}`)
  return answer
}

/** The service that a challenge names, where it names one. */
async function lookAtTokens(
  asking: Asking,
  site: Site,
  url: URL,
  { challenges }: Answer,
): Promise<OriginFacts['tokens']> {
  const bearer = parseChallenges(challenges).find(({ scheme }) => scheme === 'bearer')
  const realm = URL.parse(bearer?.parameters.get('realm') ?? '')
  if (realm === null) return undefined
  const service = bearer?.parameters.get('service')
  if (service !== undefined) realm.searchParams.set('service', service)
  const answer = await check(async () => {
    await ask(asking, site, realm, asking.egress.realm(site, url, realm.href)).catch((cause: unknown) => {
      throw new Error(innermostReason(cause), { cause })
    })
  })
  return { host: realm.host, url: realm.href, answer }
}

function aheadOf({ headers }: Answer): number | undefined {
  const date = Date.parse(singleHeader(headers, 'date') ?? '')
  return Number.isNaN(date) ? undefined : date - Date.now()
}

const nameFailures: readonly string[] = ['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA']

function failure(error: unknown): OriginAnswer {
  if (isOriginError(error) && error.kind === 'forbidden-target') return { kind: 'forbidden', reason: error.detail }
  const reason = innermostReason(error)
  if (nameFailures.includes(reason)) return { kind: 'no name', reason }
  return { kind: isOfCertificate(reason) ? 'untrusted' : 'unreachable', reason }
}

/** As OpenSSL and Node.js name what is wrong with one. */
function isOfCertificate(reason: string): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ALTNAME/.test(reason)
}
