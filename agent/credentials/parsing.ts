/** Texts that may hold secrets, parsed so that no error shows them. */
import type { z } from 'zod'

/** Undefined where the text is no JSON: the error of `JSON.parse` quotes what it could not read. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Where it is wrong and how, without what stands there. */
export function describeIssues({ issues }: z.ZodError): string {
  return issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`).join('; ')
}
