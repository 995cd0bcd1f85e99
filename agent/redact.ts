/** Takes secrets out of what is about to be logged, wherever they are nested. */
import { limits } from '../core/limits.ts'

const redacted = '[redacted]'
const tooDeep = '[too deep]'

/** Names under which a secret may stand, whatever else is in the name (`x-registry-auth`, `idToken`, `Set-Cookie`). */
const secretName = /authorization|(^|[-_])auth$|cookie|token|secret|passw|credential|signature|(api|private)-?key/i

/**
 * A logged value without secrets: values under telling names are replaced, texts go through `redactText`. Nor is there anything
 * below `limits.logDepthMax` levels.
 */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth === limits.logDepthMax) return tooDeep
  const within = (inner: unknown): unknown => redact(inner, depth + 1)
  if (Array.isArray(value))
    return value.map((item, index) => (followsSecretName(value, index) ? redacted : within(item)))
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, secretName.test(name) ? redacted : within(inner)]),
  )
}

/** Raw headers are arrays in which names and values alternate. */
function followsSecretName(values: readonly unknown[], index: number): boolean {
  const before = values[index - 1]
  return typeof before === 'string' && /^[\w-]+$/.test(before) && secretName.test(before)
}

const urlUser = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/?#@"'<>]*@/gi
const urlQuery = /(\bhttps?:\/\/[^\s?#"'<>]*)\?[^\s#"'<>]*/gi
const queryParameter = /([?&][\w.-]*(?:sig|token|credential|key|secret|auth|passw)[\w.-]*=)[^&\s"'<>]*/gi
const header = /\b((?:proxy-)?authorization|(?:set-)?cookie)(["']?\s*[:=]\s*)[^\r\n]*/gi
const scheme = /\b(bearer|basic)\s+[\w.~+/=-]{6,}/gi
const webToken = /\beyJ[\w-]{4,}\.[\w-]+\.[\w-]*/g

/**
 * A text without the secrets that have a shape: the query and user of a URL (storage behind registries signs its URLs
 * there), headers, what follows `Bearer` or `Basic`, and JSON web tokens.
 */
function redactText(text: string): string {
  return text
    .replaceAll(urlUser, `$1${redacted}@`)
    .replaceAll(urlQuery, `$1?${redacted}`)
    .replaceAll(queryParameter, `$1${redacted}`)
    .replaceAll(header, `$1$2${redacted}`)
    .replaceAll(scheme, `$1 ${redacted}`)
    .replaceAll(webToken, redacted)
}
