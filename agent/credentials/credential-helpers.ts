/** Credential helpers: the programs by which Docker keeps secrets elsewhere (docker/docker-credential-helpers, README). */
import { z } from 'zod'
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { Account } from '../upstream/credential.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'
import { createSingleFlight } from '../upstream/single-flight.ts'
import { accountOf, type SourceComponents } from './accounts.ts'
import { parseJson } from '../parse-json.ts'
import { programFailed } from './program.ts'

const helperAnswer = z.object({ Username: z.string(), Secret: z.string().min(1) })

/** docker-credential-helpers, credentials/error.go: what a helper says, ending with 1, that has nothing. */
const notFound = 'credentials not found in native keychain'

/** What the helper of this name has for the registry of an image; undefined where it fails, which is logged. */
export type AskHelper = (name: string, at: OriginRepository, signal: AbortSignal) => Promise<Account | undefined>

/** For all that one config file names. */
export function createCredentialHelpers({ clock, run, env, logger }: SourceComponents): AskHelper {
  const answers = createBoundedMap<string, { account: Account | undefined; goodUntilMs: number }>(
    limits.credentialAnswersMax,
  )
  const flight = createSingleFlight<Account | undefined>()

  async function ask(helper: string, server: string, signal: AbortSignal): Promise<Account | undefined> {
    try {
      return await exchange(helper, server, signal)
    } catch (error) {
      signal.throwIfAborted()
      logger.warn({ err: error, helper, server }, 'a credential helper failed')
      return undefined
    }
  }

  async function exchange(helper: string, server: string, signal: AbortSignal): Promise<Account | undefined> {
    const file = `docker-credential-${helper}`
    const { code, output } = await run({ file, args: ['get'], env }, server, signal)
    if (code !== 0 && output.trim() === notFound) return undefined
    if (code !== 0) throw programFailed(`${file} ended with code ${code}`)
    const answer = helperAnswer.safeParse(parseJson(output))
    if (!answer.success) throw programFailed(`${file} did not answer with Username and Secret`)
    return accountOf(answer.data.Username, answer.data.Secret)
  }

  return async (helper, { origin }, signal) => {
    // The key under which `docker login` has kept Docker Hub's since there was a first version of its API.
    const server = origin === 'docker.io' ? 'https://index.docker.io/v1/' : origin
    const key = `${helper} ${server}`
    const known = answers.get(key)
    if (known !== undefined && clock.now() < known.goodUntilMs) return known.account
    return flight(key, signal, async (shared) => {
      const account = await ask(helper, server, shared)
      answers.set(key, { account, goodUntilMs: clock.now() + limits.credentialFailureMs })
      return account
    })
  }
}
