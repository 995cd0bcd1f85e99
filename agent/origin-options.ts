/** How this node reaches registries: the options that say so, and the proxies of its environment. */
import type { AgentConfig } from './config.ts'
import type { OriginClientOptions } from './upstream/origin-client.ts'

/** The variables that containerd reads as well; of two that differ in case the first that is not empty, as there. */
export function originOptions(config: AgentConfig, env = process.env): OriginClientOptions {
  const { origins, originPatterns, unlistedOrigins, extraCaFiles } = config
  const proxy = {
    http: env['HTTP_PROXY'] || env['http_proxy'],
    https: env['HTTPS_PROXY'] || env['https_proxy'],
    none: env['NO_PROXY'] || env['no_proxy'],
  }
  return { origins, originPatterns, unlistedOrigins, extraCaFiles, proxy }
}
