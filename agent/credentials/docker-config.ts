/**
 * Docker config files: what `docker login` writes to ~/.docker/config.json, and what a Secret of type
 * kubernetes.io/dockerconfigjson holds. Accounts stand in `auths`, or with a credential helper.
 */
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { z } from 'zod'
import type { Account } from '../upstream/credential.ts'
import { accountOf, type AccountSource, type KeyedAccount, matching, type SourceComponents } from './accounts.ts'
import { createCredentialHelpers } from './credential-helpers.ts'
import { type ImagePattern, isForImage, parseRegistryKey } from './image-pattern.ts'
import { parseJson } from '../parse-json.ts'
import { describeIssues } from './parsing.ts'
import { createWatchedFile } from './watched-file.ts'

export interface DockerConfig {
  readonly accounts: readonly KeyedAccount[]
  /** The helper for one registry each. */
  readonly helpers: readonly { readonly key: ImagePattern; readonly name: string }[]
  /** The helper for all others. */
  readonly store: string | undefined
}

/** `file` may be the directory where such a Secret is mounted. Rejects with `CREDENTIALS_INVALID` where it is wrong. */
export async function openDockerConfig(components: SourceComponents, file: string): Promise<AccountSource> {
  const config = createWatchedFile(components.logger, {
    file: await fileIn(file),
    secret: true,
    parse: parseDockerConfig,
  })
  await config.load()
  const askHelper = createCredentialHelpers(components)
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
