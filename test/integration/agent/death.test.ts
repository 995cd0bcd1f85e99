/** Real agents, of which one is killed and one stands still; who lives keeps all others in its list. */
import { afterAll, expect, test } from 'vitest'
import { type AgentProcess, readMetrics, startCluster } from '../../../cli/demo/agents.ts'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import { untilTrue } from '../../../cli/demo/until.ts'

const guardian = createGuardian()
afterAll(() => guardian.close())

async function membersOf({ ops }: AgentProcess): Promise<number | undefined> {
  return (await readMetrics(ops)).get('shoal_members')
}

async function untilAllCount(agents: readonly AgentProcess[], members: number): Promise<void> {
  const count = async (): Promise<boolean> =>
    (await Promise.all(agents.map(membersOf))).every((counted) => counted === members)
  await untilTrue(`${agents.length} agents count ${members} members`, count)
}

test('agents drop one that is killed, and one that stands still, until it goes on', async () => {
  const agents = await startCluster(guardian, 5, { plainOrigins: [] })
  const [killed, stopped, ...rest] = agents.toReversed()
  killed!.process.kill('SIGKILL')
  await untilAllCount([stopped!, ...rest], 4)
  stopped!.process.kill('SIGSTOP')
  await untilAllCount(rest, 3)
  stopped!.process.kill('SIGCONT')
  await untilAllCount([stopped!, ...rest], 4)
  expect(killed!.process.signalCode).toBe('SIGKILL')
})
