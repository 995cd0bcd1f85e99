/** SIGHUP, on a real process: limits change while it runs, what can't is named. */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { agentReady, readMetrics, startAgent, stopAgent } from '../../../cli/demo/agents.ts'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import { MiB } from '../../../core/units.ts'

const guardian = createGuardian()
afterAll(() => guardian.close())

test('an agent takes over the limits of its config file', async () => {
  const directory = await guardian.directory()
  const file = path.join(directory, 'shoal.yaml')
  await writeFile(file, 'uploadLimit: 8MiB\nprefetchLayers: 1\n')
  const agent = await startAgent(guardian, { directory, seeds: [], plainOrigins: [], flags: ['--config', file] })
  await agentReady(agent, 1)
  const limitsNow = async () => {
    const metrics = await readMetrics(agent.ops)
    const limitOf = (name: string) => metrics.get(`shoal_rate_limit_bytes_per_second{direction="${name}"}`)
    return ['upload', 'download', 'origin'].map(limitOf)
  }
  expect(await limitsNow()).toEqual([8 * MiB, 0, 0])
  await writeFile(file, 'downloadLimit: 100MiB\noriginLimit: 20MiB\nprefetchLayers: 2\n')
  agent.process.kill('SIGHUP')
  await expect.poll(limitsNow).toEqual([0, 100 * MiB, 20 * MiB])
  await expect.poll(() => readFile(agent.logFile, 'utf8')).toContain('"needRestart":["prefetchLayers"]')
  await stopAgent(agent)
  expect(agent.process.exitCode).toBe(0)
})
