/** What is wrong with texts that may hold secrets, so that no error shows them. */
import type { z } from 'zod'

/** Where it is wrong and how, without what stands there. */
export function describeIssues({ issues }: z.ZodError): string {
  return issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`).join('; ')
}
