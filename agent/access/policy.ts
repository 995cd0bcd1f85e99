/**
 * What an operator decides for each origin: who says who may read, how far one yes reaches, and what still counts while the
 * origin is down. docs/access.md says what each choice costs and risks.
 */
import { parseOrigin } from '../upstream/origin-name.ts'

/**
 * | mode             | who says who may read                                                                                  |
 * | `origin`         | the origin, which sees the caller's own credential; its challenge is passed on                         |
 * | `exchange`       | the same, but the mirror asks for the password and gets the token, so that it can recognise a password |
 * | `anonymous-only` | what the origin shows to nobody is all there is; no caller is asked for a credential                   |
 * | `open`           | the operator: whoever reaches the mirror may read                                                      |
 */
export const accessModes = ['origin', 'exchange', 'anonymous-only', 'open'] as const

/** How far a yes of the origin reaches until it is asked again: nowhere, or to the same registry, repository or image. */
export const enforcements = ['Every', 'NewRegistry', 'NewRepository', 'NewImage'] as const

/** What counts while the origin is down: no yes, one for the same image, repository or registry, or none is needed. */
export const failovers = ['Deny', 'SameImage', 'SameRepository', 'SameRegistry', 'Allow'] as const

export type Failover = (typeof failovers)[number]

/** Other names of three of them. */
export const failoverSynonyms = { deny: 'Deny', granted: 'SameRepository', open: 'Allow' } as const satisfies Record<
  string,
  Failover
>

export interface OriginPolicy {
  readonly access: (typeof accessModes)[number]
  readonly enforcement: (typeof enforcements)[number]
  readonly failover: Failover
  /** How long after it a yes, or what a tag meant, counts while the origin is down. */
  readonly failoverMs: number
}

export type PolicyOf = (origin: string) => OriginPolicy

/** What is not given holds by `standard`. */
export type PolicyRule = { readonly host: string } & {
  readonly [Choice in keyof OriginPolicy]?: OriginPolicy[Choice] | undefined
}

/** Origins by their canonical names. */
export function createPolicies(rules: readonly PolicyRule[], standard: OriginPolicy): PolicyOf {
  const policies = new Map(rules.map((rule) => [parseOrigin(rule.host)?.text, policyBy(rule, standard)]))
  return (origin) => policies.get(origin) ?? standard
}

function policyBy(rule: PolicyRule, standard: OriginPolicy): OriginPolicy {
  return {
    access: rule.access ?? standard.access,
    enforcement: rule.enforcement ?? standard.enforcement,
    failover: rule.failover ?? standard.failover,
    failoverMs: rule.failoverMs ?? standard.failoverMs,
  }
}

/** The options that hold for all origins. */
export interface StandardOptions {
  readonly originAccess: OriginPolicy['access']
  readonly originEnforcement: OriginPolicy['enforcement']
  readonly originFailover: Failover
  readonly originFailoverMs: number
}

export function standardPolicy(options: StandardOptions): OriginPolicy {
  return {
    access: options.originAccess,
    enforcement: options.originEnforcement,
    failover: options.originFailover,
    failoverMs: options.originFailoverMs,
  }
}

/** To what the yes for one content extends. */
export type Reach = 'image' | 'repository' | 'registry'

export const enforcementReach = {
  Every: undefined,
  NewRegistry: 'registry',
  NewRepository: 'repository',
  NewImage: 'image',
} as const satisfies Record<OriginPolicy['enforcement'], Reach | undefined>

export const failoverReach = {
  Deny: undefined,
  SameImage: 'image',
  SameRepository: 'repository',
  SameRegistry: 'registry',
  Allow: 'registry',
} as const satisfies Record<Failover, Reach | undefined>
