/** Connections to one listener, kept for the calls that follow; each carries one call at a time. */
import { connect, type Socket } from 'node:net'
import { limits } from '../../core/limits.ts'
import { toHostPort } from '../config-values.ts'
import { createReader, type Head, type Reader } from './http.ts'

export interface Answer {
  readonly head: Head
  readonly body: Buffer
}

export interface Lines {
  /** Sends `message` when a connection is free. Rejects with what ended that, or as `stopped` does. */
  ask(message: Buffer, stopped: Promise<never>): Promise<Answer>
  /** Is there a connection? */
  isOpen(): boolean
  close(): void
}

interface Line {
  readonly socket: Socket
  readonly reader: Reader
}

export function createLines(cluster: string): Lines {
  const open = new Set<Line>()
  const idle = new Set<Line>()
  /** Who waits until one is idle, or one less open. */
  const waiting = new Set<() => void>()

  function openLine(): Line {
    const socket = connect({ ...toHostPort(cluster), noDelay: true })
    const line = { socket, reader: createReader(socket) }
    open.add(line)
    socket.setTimeout(limits.clusterIdleMs, () => socket.destroy())
    socket.once('end', () => idle.delete(line))
    socket.once('close', () => {
      idle.delete(line)
      open.delete(line)
      letNextIn()
    })
    return line
  }

  function takeIdle(): Line | undefined {
    for (const line of idle) {
      idle.delete(line)
      return line
    }
    return undefined
  }

  async function free(stopped: Promise<never>): Promise<Line> {
    while (idle.size === 0 && open.size >= limits.clusterConnectionsPerMember) await waitTurn(stopped)
    return takeIdle() ?? openLine()
  }

  async function waitTurn(stopped: Promise<never>): Promise<void> {
    const turn = Promise.withResolvers<void>()
    waiting.add(turn.resolve)
    try {
      await Promise.race([turn.promise, stopped])
    } catch (error) {
      // Its turn may have come meanwhile.
      if (!waiting.delete(turn.resolve)) letNextIn()
      throw error
    }
  }

  function letNextIn(): void {
    for (const enter of waiting) {
      waiting.delete(enter)
      return enter()
    }
  }

  function release(line: Line, { headers }: Head): void {
    if (headers['connection'] === 'close') line.socket.destroy()
    else idle.add(line)
    letNextIn()
  }

  return {
    async ask(message, stopped) {
      const line = await free(stopped)
      try {
        line.socket.write(message)
        const answer = await Promise.race([read(line), stopped])
        release(line, answer.head)
        return answer
      } catch (error) {
        line.socket.destroy()
        throw error
      }
    },
    isOpen: () => open.size > 0,
    close() {
      for (const { socket } of open) socket.destroy()
    },
  }
}

async function read({ reader }: Line): Promise<Answer> {
  const head = await reader.head(limits.clusterHeadersMaxBytes)
  if (head.length > limits.clusterAnswerMaxBytes) throw new Error('its answer is too large')
  return { head, body: await reader.body(head.length) }
}
