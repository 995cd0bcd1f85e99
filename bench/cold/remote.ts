/** What runs inside a host of the testbed, and how the bench talks to it: one message, one answer. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { Guardian } from '../../cli/demo/guardian.ts'
import type { Image } from '../../cli/demo/image.ts'
import type { PullOptions, PullResult } from '../../cli/demo/pull.ts'
import type { Host } from './testbed.ts'

export type Order =
  | { readonly type: 'serve'; readonly host: string; readonly repositories: Readonly<Record<string, Image>> }
  | { readonly type: 'bytes-sent' }
  | { readonly type: 'await-agent'; readonly ops: string; readonly members: number }
  | { readonly type: 'pull'; readonly options: Omit<PullOptions, 'onBytes' | 'onTotal'> }

export type Answer =
  | { readonly type: 'serving'; readonly address: string }
  | { readonly type: 'bytes-sent'; readonly bytes: number }
  | { readonly type: 'agent-ready' }
  | { readonly type: 'pulled'; readonly result: PullResult }
  | { readonly type: 'failed'; readonly message: string }

export interface Remote {
  /** Rejects when the answer is of another type, or a failure. */
  ask<Type extends Answer['type']>(order: Order, type: Type): Promise<Extract<Answer, { type: Type }>>
}

/** Starts the other side of `ask` on a host. */
export function startRemote(guardian: Guardian, host: Host): Remote {
  const [command, ...words] = [...host.prefix, process.execPath, path.join(import.meta.dirname, 'remote-main.ts')]
  const child = spawn(command, words, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  guardian.adopt(child)
  return { ask: (order, type) => ask(child, order, type) }
}

async function ask<Type extends Answer['type']>(
  child: ChildProcess,
  order: Order,
  type: Type,
): Promise<Extract<Answer, { type: Type }>> {
  const answered: Promise<Answer[]> = once(child, 'message') as Promise<Answer[]>
  child.send(order)
  const [answer] = await answered
  if (answer?.type === 'failed') throw new Error(answer.message)
  if (answer?.type !== type) throw new Error(`expected ${type}, got ${answer?.type}`)
  return answer as Extract<Answer, { type: Type }>
}
