/** `shoal doctor --explain`: what an agent with these options would do, and why. */
import { createPolicies, type OriginPolicy, standardPolicy } from '../agent/access/policy.ts'
import type { AgentConfig } from '../agent/config.ts'
import { createEgress } from '../agent/upstream/egress.ts'
import { isOriginError } from '../agent/upstream/origin-error.ts'
import { compileRules, type Decision } from '../core/rules.ts'
import { hour } from '../core/units.ts'
import type { ImageReference } from './image-reference.ts'

export interface Explanation {
  readonly image: ImageReference
  /** Undefined where the registry may be asked. */
  readonly forbidden: string | undefined
  /** Of the request by tag; undefined where the name has none. */
  readonly byTag: Decision | undefined
  /** Of everything that follows, since content is asked for by digest. */
  readonly byDigest: Decision
  readonly policy: OriginPolicy
}

export function explainImage(image: ImageReference, config: AgentConfig): Explanation {
  const decide = compileRules(config.rules)
  const { origin, repository, tag } = image
  return {
    image,
    forbidden: whyForbidden(origin, config),
    byTag: tag === undefined ? undefined : decide({ origin, repository, tag }),
    byDigest: decide({ origin, repository }),
    policy: createPolicies(config.origins, standardPolicy(config))(origin),
  }
}

function whyForbidden(origin: string, config: AgentConfig): string | undefined {
  try {
    createEgress(config).site(origin)
    return undefined
  } catch (error) {
    if (isOriginError(error)) return error.message
    throw error
  }
}

export function explanationText({ image, forbidden, byTag, byDigest, policy }: Explanation): string {
  const { origin, repository, tag, digest } = image
  const name = `${origin}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`
  const lines = [
    ['image', name],
    ...(forbidden === undefined ? [] : [['registry', `refused: ${forbidden}`]]),
    ...(byTag === undefined ? [] : [[`tag ${tag}`, decisionText(byTag)]]),
    ['content', decisionText(byDigest)],
    [
      'access',
      `${policy.access}, enforcement ${policy.enforcement}, failover ${policy.failover} for ${policy.failoverMs / hour} h`,
    ],
  ]
  const width = Math.max(...lines.map(([title = '']) => title.length))
  return lines.map(([title = '', text]) => `${title.padEnd(width)}  ${text}\n`).join('')
}

const results = {
  mirror: 'through the mirror, shared with other nodes',
  unshared: 'through the mirror, never shared with other nodes',
  pass: 'not through the mirror (404): clients go to the registry itself',
  refuse: 'refused (403); clients that have the registry as their next host may still get it there',
} as const satisfies Record<Decision['action'], string>

function decisionText({ action, ruleNumber, pattern }: Decision): string {
  return `${results[action]}; ${ruleNumber === undefined ? 'no rule matches' : `by rule ${ruleNumber}: ${pattern}=${action}`}`
}
