/**
 * Credential providers: the programs by which a node's kubelet gets accounts for ECR, Artifact Registry, Azure and others
 * (credentialprovider.kubelet.k8s.io/v1; kubernetes/kubernetes, pkg/credentialprovider/plugin/plugin.go).
 */
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import { createBoundedMap } from '../../core/bounded-map.ts'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { writableByAll } from '../file-mode.ts'
import type { OriginRepository } from '../upstream/origin-client.ts'
import { createSingleFlight } from '../upstream/single-flight.ts'
import { accountOf, type AccountSource, type KeyedAccount, matching, type SourceComponents } from './accounts.ts'
import { imageText, matchesImage, parseRegistryKey } from './image-pattern.ts'
import { parseJson } from '../parse-json.ts'
import { type Program, programFailed } from './program.ts'
import { goDuration, parseProviderConfig, providerApi, type ProviderSpec } from './provider-config.ts'
import { createWatchedFile } from './watched-file.ts'

export interface ProviderOptions {
  readonly configFile: string
  readonly binDir: string
}

/** Rejects with `CREDENTIALS_INVALID` where the file is wrong, or a program of it is missing. */
export async function openProviders(
  components: SourceComponents,
  { configFile, binDir }: ProviderOptions,
): Promise<AccountSource> {
  const config = createWatchedFile(components.logger, {
    file: configFile,
    secret: false,
    parse: (text) => parseProviderConfig(text).map((spec) => createProvider(components, spec, binDir)),
  })
  for (const { file } of await config.load()) await requireProgram(file)
  return {
    async accountsFor(at, signal) {
      const providers = (await config.content()) ?? []
      const told = await Promise.all(providers.map((provider) => provider.find(at, signal)))
      return matching(firstOfEachKey(told.flat()), at)
    },
  }
}

/** A program that anybody may write is nobody's. */
async function requireProgram(file: string): Promise<void> {
  const mode = await stat(file).then(
    (found) => (found.isFile() ? found.mode : 0),
    () => 0,
  )
  if ((mode & 0o111) === 0) throw new ShoalError('CREDENTIALS_INVALID', `${file} is no program that can be run`)
  const fault = writableByAll(mode)
  if (fault !== undefined) throw new ShoalError('CREDENTIALS_INVALID', `${file} ${fault}`)
}

/** Where two providers speak of one key, the earlier one counts. */
function firstOfEachKey(accounts: readonly KeyedAccount[]): KeyedAccount[] {
  return [...new Map(accounts.toReversed().map((keyed) => [keyed.key.text, keyed])).values()]
}

interface Provider {
  readonly file: string
  /** What it knows of an image that it is for; nothing where it fails, which is logged. */
  find(at: OriginRepository, signal: AbortSignal): Promise<readonly KeyedAccount[]>
}

interface Answer {
  readonly accounts: readonly KeyedAccount[]
  readonly goodUntilMs: number
}

function createProvider({ clock, run, env, logger }: SourceComponents, spec: ProviderSpec, binDir: string): Provider {
  const program: Program = { file: path.join(binDir, spec.name), args: spec.args, env: { ...env, ...spec.env } }
  const answers = createBoundedMap<string, Answer>(limits.credentialAnswersMax)
  const flight = createSingleFlight<readonly KeyedAccount[]>()

  async function ask(at: OriginRepository, signal: AbortSignal): Promise<readonly KeyedAccount[]> {
    try {
      const { cacheKeyType, cacheMs = spec.defaultCacheMs, accounts } = await exchange(at, signal)
      // One pull of kubelet's is one question; one of ours may be hundreds of ranges.
      const keptMs = Math.max(cacheMs, limits.credentialAnswerMinMs)
      answers.set(cacheKeys(at)[cacheKeyType], { accounts, goodUntilMs: clock.now() + keptMs })
      return accounts
    } catch (error) {
      signal.throwIfAborted()
      logger.warn({ err: error, provider: spec.name, image: imageText(at) }, 'a credential provider failed')
      answers.set(cacheKeys(at).Image, { accounts: [], goodUntilMs: clock.now() + limits.credentialFailureMs })
      return []
    }
  }

  async function exchange(at: OriginRepository, signal: AbortSignal): Promise<ProviderResponse> {
    const request = { apiVersion: providerApi, kind: 'CredentialProviderRequest', image: imageText(at) }
    await requireProgram(program.file)
    const { code, output } = await run(program, JSON.stringify(request), signal)
    if (code !== 0) throw programFailed(`${program.file} ended with code ${code}`)
    const response = providerResponse.safeParse(parseJson(output))
    if (!response.success)
      throw programFailed(`${program.file} did not answer with a CredentialProviderResponse of ${providerApi}`)
    return response.data
  }

  return {
    file: program.file,
    async find(at, signal) {
      if (!spec.matchImages.some((pattern) => matchesImage(pattern, at))) return []
      const known = Object.values(cacheKeys(at))
        .map((key) => answers.get(key))
        .find((answer) => answer !== undefined && clock.now() < answer.goodUntilMs)
      return known?.accounts ?? flight(imageText(at), signal, (shared) => ask(at, shared))
    },
  }
}

/** What an answer is good for, by what it says; narrow before wide. */
function cacheKeys(at: OriginRepository) {
  return { Image: `image ${imageText(at)}`, Registry: `registry ${at.origin}`, Global: 'all' }
}

const providerResponse = z
  .looseObject({
    apiVersion: z.literal(providerApi),
    kind: z.literal('CredentialProviderResponse'),
    cacheKeyType: z.enum(['Image', 'Registry', 'Global']),
    cacheDuration: goDuration.nullish(),
    auth: z.record(z.string(), z.object({ username: z.string(), password: z.string() })).nullish(),
  })
  .transform(({ cacheKeyType, cacheDuration, auth }) => ({
    cacheKeyType,
    cacheMs: cacheDuration ?? undefined,
    accounts: Object.entries(auth ?? {}).flatMap(([text, { username, password }]): KeyedAccount[] => {
      const key = parseRegistryKey(text)
      return key === undefined ? [] : [{ key, account: accountOf(username, password) }]
    }),
  }))

type ProviderResponse = z.output<typeof providerResponse>
