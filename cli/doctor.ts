/** `shoal doctor`: whether this node pulls through Shoal, and what to do where it does not. */
import type { AgentConfig } from '../agent/config.ts'
import { gatherNode, type NodeQuestion } from '../agent/doctor/gather.ts'
import { type Finding, sortFindings } from '../core/doctor/findings.ts'
import { judge } from '../core/doctor/judge.ts'

/** Of the node and, where it runs, of the agent, which knows what nobody else does. */
export async function examineNode(config: AgentConfig, question: NodeQuestion): Promise<Finding[]> {
  const { facts, agent } = await gatherNode(config, question)
  const findings = judge(facts)
  const codes = new Set(findings.map(({ code }) => code))
  return sortFindings([...findings, ...agent.findings.filter(({ code }) => !codes.has(code))])
}

export function isHealthy(findings: readonly Finding[]): boolean {
  return !findings.some(({ severity }) => severity === 'error')
}

export function findingsJson(findings: readonly Finding[]): string {
  return `${JSON.stringify({ healthy: isHealthy(findings), findings }, null, 2)}\n`
}

export function findingsText(findings: readonly Finding[]): string {
  return [summaryOf(findings), ...findings.map(findingText)].join('\n\n').concat('\n')
}

function summaryOf(findings: readonly Finding[]): string {
  if (findings.length === 0) return 'This node pulls through Shoal: nothing wrong was found.'
  return isHealthy(findings) ? 'No error was found.' : 'This node does not pull through Shoal as it should.'
}

function findingText({ code, severity, what, why, fix }: Finding): string {
  return [`${severity}  ${code}`, indented('What', `${what}.`), indented('Why', why), indented('Fix', fix)].join('\n')
}

/** The title once, and the text below each other beside it. */
function indented(title: string, text: string): string {
  const [first = '', ...rest] = text.split('\n')
  return [`  ${title.padEnd(4)}  ${first}`, ...rest.map((line) => `        ${line}`)].join('\n')
}
