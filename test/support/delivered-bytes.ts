import { type AgentProcess, readMetrics } from '../../cli/demo/agents.ts'

/** What an agent's mirror has given to its clients, from wherever. */
export async function deliveredBytes({ ops }: AgentProcess): Promise<number> {
  const delivered = [...(await readMetrics(ops))].filter(([series]) => /^shoal_bytes_total\{.*delivered/.test(series))
  return delivered.reduce((sum, [, value]) => sum + value, 0)
}
