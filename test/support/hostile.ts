/** Starts hostile members (hostile-member.ts) as processes, each at a loopback address of its own. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { Guardian } from '../../cli/demo/guardian.ts'
import type { HostileOrders } from './hostile-member.ts'

export interface Hostile {
  readonly host: string
  /** What it says once it has joined, or is through with what it does. */
  readonly report: Promise<unknown>
  stop(): void
}

export function startHostile(guardian: Guardian, orders: HostileOrders): Hostile {
  const script = path.join(import.meta.dirname, 'hostile-member.ts')
  const child = fork(script, [JSON.stringify(orders)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  guardian.adopt(child)
  const ended = once(child, 'exit').then(([code]: unknown[]) => {
    throw new Error(`the hostile member that ${orders.lie} ended with ${String(code)}`)
  })
  const report = Promise.race([once(child, 'message').then(([said]: unknown[]) => said), ended])
  return { host: orders.host, report, stop: () => child.kill('SIGKILL') }
}
