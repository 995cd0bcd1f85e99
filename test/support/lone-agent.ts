/** A whole agent without a cluster, in this process, on free ports of loopback. */
import path from 'node:path'
import { parseConfig } from '../../agent/config.ts'
import { type AgentSurroundings, type RunningAgent, runAgent } from '../../agent/main.ts'
import type { Guardian } from '../../cli/demo/guardian.ts'

/** `options` as a config file has them. The mirror speaks plain HTTP unless they say otherwise. */
export async function startLoneAgent(
  guardian: Guardian,
  options: object,
  surroundings: AgentSurroundings = {},
): Promise<RunningAgent> {
  const directory = await guardian.directory()
  const listeners = ['mirror', 'ops', 'peers', 'bulk', 'cluster'].map((name) => [`${name}Listen`, '127.0.0.1:0'])
  const dataDir = path.join(directory, 'data')
  return runAgent(
    parseConfig({
      standalone: true,
      dataDir,
      mirrorProtocol: 'http',
      ...Object.fromEntries(listeners),
      logLevel: 'fatal',
      ...options,
    }),
    surroundings,
  )
}
