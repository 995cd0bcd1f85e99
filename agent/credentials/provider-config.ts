/** The file by which a node's kubelet knows its credential providers (`CredentialProviderConfig`, kubelet.config.k8s.io/v1). */
import { parseDocument } from 'yaml'
import { z } from 'zod'
import { type ImagePattern, parseImagePattern } from './image-pattern.ts'
import { parseGoDuration } from './go-duration.ts'
import { describeIssues } from './parsing.ts'

export const providerApi = 'credentialprovider.kubelet.k8s.io/v1'

export interface ProviderSpec {
  /** Of the program too. */
  readonly name: string
  readonly matchImages: readonly ImagePattern[]
  /** How long an answer is good that says nothing of that. */
  readonly defaultCacheMs: number
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

export const goDuration = z.string().transform((text, context) => {
  const ms = parseGoDuration(text)
  if (ms !== undefined) return ms
  context.addIssue('expected a duration, as 12h or 1h30m')
  return z.NEVER
})

const imagePattern = z.string().transform((text, context) => {
  const pattern = parseImagePattern(text)
  if (pattern !== undefined) return pattern
  context.addIssue('expected host[:port][/path], with * in the host only')
  return z.NEVER
})

/** Kubernetes has had v1 since 1.26; what the older ones say differs. */
function onlyVersion(version: string) {
  return z.literal(version, { error: ({ input }) => `is ${JSON.stringify(input)}, but only ${version} is understood` })
}

const provider = z
  .looseObject({
    name: z.string().regex(/^(?!\.{1,2}$)[^/ \0]{1,255}$/, "expected a program's name, without / and spaces"),
    apiVersion: onlyVersion(providerApi),
    matchImages: z.array(imagePattern).min(1),
    defaultCacheDuration: goDuration,
    args: z.array(z.string()).nullish(),
    env: z.array(z.object({ name: z.string().min(1), value: z.string() })).nullish(),
    tokenAttributes: z.looseObject({ requireServiceAccount: z.boolean() }).nullish(),
  })
  .transform(({ name, matchImages, defaultCacheDuration, args, env, tokenAttributes }) => ({
    name,
    matchImages,
    defaultCacheMs: defaultCacheDuration,
    args: args ?? [],
    env: Object.fromEntries((env ?? []).map((variable) => [variable.name, variable.value])),
    needsPod: tokenAttributes?.requireServiceAccount === true,
  }))

const providerConfig = z.looseObject({
  apiVersion: onlyVersion('kubelet.config.k8s.io/v1'),
  kind: z.literal('CredentialProviderConfig'),
  providers: z
    .array(provider)
    .min(1)
    .refine((all) => new Set(all.map(({ name }) => name)).size === all.length, 'names a provider twice'),
})

/**
 * The providers, in order, without those that answer only for the service account of a pod: the agent has none. Throws an
 * Error that shows nothing of the text but names and versions, since `env` may hold secrets.
 */
export function parseProviderConfig(text: string): ProviderSpec[] {
  const document = parseDocument(text, { prettyErrors: false })
  if (document.errors.length > 0) throw new Error(`is no YAML (${document.errors[0]?.code})`)
  const parsed = providerConfig.safeParse(document.toJS())
  if (!parsed.success) throw new Error(describeIssues(parsed.error))
  return parsed.data.providers.filter(({ needsPod }) => !needsPod)
}
