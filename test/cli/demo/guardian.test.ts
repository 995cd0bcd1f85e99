import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { createGuardian } from '../../../cli/demo/guardian.ts'
import { untilTrue } from '../../../cli/demo/until.ts'

const guardianFile = path.join(import.meta.dirname, '../../../cli/demo/guardian.ts')

test('close ends the children and removes the directories, and leaves alone what has ended', async () => {
  const guardian = createGuardian()
  const directory = await guardian.directory()
  const ended = spawn('true')
  guardian.adopt(ended)
  await once(ended, 'exit')
  const running = spawn('sleep', ['60'])
  guardian.adopt(running)
  const exit = once(running, 'exit')
  await guardian.close()
  expect(await exit).toEqual([null, 'SIGKILL'])
  expect(existsSync(directory)).toBe(false)
})

test('kill -9 of the process that has a guardian leaves nothing behind', async () => {
  const program = `
    import { spawn } from 'node:child_process'
    import { createGuardian } from ${JSON.stringify(guardianFile)}
    const guardian = createGuardian()
    const directory = await guardian.directory()
    const child = spawn('sleep', ['60'])
    guardian.adopt(child)
    console.log(JSON.stringify({ directory, pid: child.pid }))
    setInterval(() => undefined, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module-typescript', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface(parent.stdout), 'line')) as [string]
  const { directory, pid } = JSON.parse(line) as { directory: string; pid: number }
  expect([existsSync(directory), isRunning(pid)]).toEqual([true, true])
  parent.kill('SIGKILL')
  await untilTrue('nothing left', async () => !existsSync(directory) && !isRunning(pid))
  expect([existsSync(directory), isRunning(pid)]).toEqual([false, false])
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
