/**
 * Docker config files: what `docker login` writes to ~/.docker/config.json, and what a Secret of type
 * kubernetes.io/dockerconfigjson holds. Accounts stand in `auths`, or with a credential helper (docker/docker-credential-helpers).
 */
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { createBoundedMap } from '../../core/bounded-map.ts'
import { limits } from '../../core/limits.ts'
import type { Account } from '../upstream/credential.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'
import { createSingleFlight } from '../upstream/single-flight.ts'
import { accountOf, type AccountSource, type KeyedAccount, matching } from './accounts.ts'
import { type ImagePattern, isForImage, parseRegistryKey } from './image-pattern.ts'
import { describeIssues, parseJson } from './parsing.ts'
import { programFailed } from './program.ts'
import type { ProviderComponents } from './providers.ts'
import { createWatchedFile } from './watched-file.ts'

export interface DockerConfig {
  readonly accounts: readonly KeyedAccount[]
  /** The helper for one registry each. */
  readonly helpers: readonly { readonly key: ImagePattern; readonly name: string }[]
  /** The helper for all others. */
  readonly store: string | undefined
}

/**
 * `file` may be the directory where such a Secret is mounted. Rejects with `CREDENTIALS_INVALID` where it is wrong.
 */
export async function openDockerConfig(components: ProviderComponents, file: string): Promise<AccountSource> {
  const config = createWatchedFile(components.logger, {
    file: await fileIn(file),
    secret: true,
    parse: parseDockerConfig,
  })
  await config.load()
  const askHelper = createHelpers(components)
  return {
    async accountsFor(at, signal) {
      const content = await config.content()
      if (content === undefined) return []
      const helper = content.helpers.find(({ key }) => isForImage(key, at))?.name ?? content.store
      const told = helper === undefined ? undefined : await askHelper(helper, at, signal)
      return [...(told === undefined ? [] : [told]), ...matching(content.accounts, at)]
    },
  }
}

/** Kubernetes names the one entry of such a Secret so. */
async function fileIn(file: string): Promise<string> {
  const isDirectory = await stat(file).then(
    (found) => found.isDirectory(),
    () => false,
  )
  return isDirectory ? path.join(file, '.dockerconfigjson') : file
}

const dockerConfig = z.looseObject({
  auths: z
    .record(
      z.string(),
      z.looseObject({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
        identitytoken: z.string().optional(),
      }),
    )
    .default({}),
  credHelpers: z.record(z.string(), helperName()).default({}),
  credsStore: helperName().optional(),
})

/** What follows `docker-credential-` in a program's name, and is no path. */
function helperName() {
  return z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/, 'expected the name of a credential helper')
}

type AuthEntry = z.output<typeof dockerConfig>['auths'][string]

/** Throws an Error that shows no secret. */
export function parseDockerConfig(text: string): DockerConfig {
  const json = parseJson(text)
  if (json === undefined) throw new Error('is no JSON')
  const parsed = dockerConfig.safeParse(json)
  if (!parsed.success) throw new Error(describeIssues(parsed.error))
  const { auths, credHelpers, credsStore } = parsed.data
  return {
    accounts: Object.entries(auths).flatMap(([registry, entry]) => {
      const account = accountIn(registry, entry)
      return account === undefined ? [] : [{ key: requireKey(registry), account }]
    }),
    helpers: Object.entries(credHelpers).map(([host, name]) => ({ key: requireKey(host), name })),
    store: credsStore,
  }
}

function requireKey(text: string): ImagePattern {
  const key = parseRegistryKey(text)
  if (key === undefined) throw new Error(`${JSON.stringify(text.slice(0, 100))} names no registry`)
  return key
}

/** An entry may be empty, as where a helper holds its secret. */
function accountIn(key: string, { auth, username, password, identitytoken }: AuthEntry): Account | undefined {
  if (identitytoken !== undefined && identitytoken !== '') return { kind: 'identity-token', token: identitytoken }
  if (username !== undefined && password !== undefined && username !== '') return accountOf(username, password)
  if (auth === undefined || auth === '') return undefined
  // Docker itself pads with NUL.
  const [, name, secret] = /^([^:]+):(.+?)\0*$/s.exec(Buffer.from(auth, 'base64').toString()) ?? []
  if (name === undefined || secret === undefined)
    throw new Error(`auths ${JSON.stringify(key)}: auth is no base64 of name:password`)
  return accountOf(name, secret)
}

const helperAnswer = z.object({ Username: z.string(), Secret: z.string().min(1) })

/** docker-credential-helpers, credentials/error.go: what a helper says, ending with 1, that has nothing. */
const notFound = 'credentials not found in native keychain'

type AskHelper = (name: string, at: OriginRepository, signal: AbortSignal) => Promise<Account | undefined>

function createHelpers({ clock, run, env, logger }: ProviderComponents): AskHelper {
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
