import type { OriginPolicy, PolicyOf } from '../../agent/access/policy.ts'
import { hour } from '../../core/units.ts'

/** One policy for all origins: the default one, but for what is given. */
export function policyWith(given: Partial<OriginPolicy>): PolicyOf {
  const standard = {
    access: 'origin',
    enforcement: 'NewRepository',
    failover: 'Deny',
    failoverMs: 24 * hour,
  } as const satisfies OriginPolicy
  return () => ({ ...standard, ...given })
}
