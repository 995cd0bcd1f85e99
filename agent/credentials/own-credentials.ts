/**
 * The agent's own credentials, for work that no caller waits for. In this order: the node's credential providers, then the
 * docker config files and mounted Secrets as they are listed. They open nothing to anybody (own-origin.ts).
 */
import type { Logger } from '../logging.ts'
import type { Clock } from '../../core/ports.ts'
import { limits } from '../../core/limits.ts'
import { createAccountCredential, type Credential } from '../upstream/credential.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'
import { openDockerConfig } from './docker-config.ts'
import { programEnvironment, type RunProgram } from './program.ts'
import { openProviders, type ProviderOptions } from './providers.ts'

export interface OwnCredentials {
  /** Nothing is configured that could give any. */
  readonly isEmpty: boolean
  /** Best first, each looked for when it is asked for; at most `limits.ownCredentialsMax`. Rejects with the signal's reason only. */
  candidates(at: OriginRepository, signal: AbortSignal): AsyncIterable<Credential>
}

export interface OwnCredentialsComponents {
  readonly clock: Clock
  readonly run: RunProgram
  readonly logger: Pick<Logger, 'warn'>
  /** The agent's; programs get little of it. */
  readonly env: NodeJS.ProcessEnv
  /** At least 32 random bytes, of this process only. */
  readonly key: Uint8Array
}

export interface OwnCredentialsOptions {
  readonly providers?: ProviderOptions
  /** Docker config files, and directories of mounted Secrets. */
  readonly registryConfigs: readonly string[]
}

/** Rejects with `CREDENTIALS_INVALID` where a file that the options name is wrong now; later that is only logged. */
export async function openOwnCredentials(
  components: OwnCredentialsComponents,
  { providers, registryConfigs }: OwnCredentialsOptions,
): Promise<OwnCredentials> {
  const parts = { ...components, env: programEnvironment(components.env) }
  const sources = [
    ...(providers === undefined ? [] : [await openProviders(parts, providers)]),
    ...(await Promise.all(registryConfigs.map((file) => openDockerConfig(parts, file)))),
  ]

  async function* candidates(at: OriginRepository, signal: AbortSignal): AsyncGenerator<Credential> {
    const given = new Set<string>()
    for (const source of sources) {
      for (const account of await source.accountsFor(at, signal)) {
        const credential = createAccountCredential(account, components.key)
        if (credential === undefined || given.has(credential.key)) continue
        if (given.size === limits.ownCredentialsMax) return
        given.add(credential.key)
        yield credential
      }
    }
  }

  return { isEmpty: sources.length === 0, candidates }
}
