/** Asks the agent that should run here how it is: /readyz, and /doctor for what only it can know. */
import { z } from 'zod'
import { request } from 'undici'
import type { AgentAnswer } from '../../core/doctor/facts.ts'
import { type FindingCode, findingTable, severities, type Finding } from '../../core/doctor/findings.ts'
import { limits } from '../../core/limits.ts'
import { parseJson } from '../parse-json.ts'
import { readAtMost } from '../upstream/bodies.ts'
import { reasonOf } from './reasons.ts'

const readyz = z.object({
  ready: z.boolean(),
  parts: z.record(z.string(), z.object({ ready: z.boolean(), reason: z.string().optional() })),
})

const isCode = (text: string): text is FindingCode => Object.hasOwn(findingTable, text)
const code = z.string().transform((text, context) => {
  if (isCode(text)) return text
  context.addIssue('not a code of this version')
  return z.NEVER
})
const findingObject = z.object({
  code,
  severity: z.enum(severities),
  what: z.string(),
  why: z.string(),
  fix: z.string(),
})

/** What `/doctor` of the ops listener says. */
const agentReport = z.object({
  findings: z.array(findingObject),
  /** Of the containerd that asked this mirror last. */
  containerdVersion: z.string().optional(),
})

export interface AskedAgent {
  readonly answer: AgentAnswer
  /** What the agent itself has found; empty where it did not say. */
  readonly findings: readonly Finding[]
  readonly containerdVersion: string | undefined
}

/** `ops`: the base URL. */
export async function askAgent(ops: string): Promise<AskedAgent> {
  const nothing = { findings: [], containerdVersion: undefined }
  try {
    const ready = readyz.safeParse(await getJson(`${ops}/readyz`))
    if (!ready.success) return { ...nothing, answer: { kind: 'stranger', reason: 'something else answers there' } }
    const report = agentReport.safeParse(await getJson(`${ops}/doctor`).catch(() => undefined))
    const { findings, containerdVersion } = report.success ? report.data : nothing
    return { answer: { kind: 'answered', notReady: whyNot(ready.data) }, findings, containerdVersion }
  } catch (error) {
    return { ...nothing, answer: { kind: 'silent', reason: reasonOf(error) } }
  }
}

/** But for what doctor itself says more of. */
function whyNot({ parts }: z.output<typeof readyz>): string | undefined {
  const reasons = Object.entries(parts).flatMap(([part, { ready, reason }]) =>
    ready || part === doctorPart ? [] : [reason ?? part],
  )
  return reasons.length === 0 ? undefined : reasons.join('; ')
}

/** What doctor's own part of `/readyz` is called. */
const doctorPart = 'doctor'

async function getJson(url: string): Promise<unknown> {
  // The agent asks others, each for as long as one question may take, before it answers.
  const signal = AbortSignal.timeout(2 * limits.doctorQuestionMs)
  const { body } = await request(url, { signal })
  const bytes = await readAtMost(body, limits.doctorAnswerMaxBytes, limits.doctorQuestionMs)
  return parseJson(bytes?.toString() ?? '')
}
