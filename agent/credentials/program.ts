/** Programs that tell secrets: run without a shell, with a bounded answer, in bounded time, and nothing they say is logged. */
import { spawn } from 'node:child_process'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'

export interface Program {
  /** A path, or a name that is looked for in `PATH`. */
  readonly file: string
  readonly args: readonly string[]
  /** All that it gets of the environment. */
  readonly env: Readonly<Record<string, string>>
}

export interface ProgramResult {
  readonly code: number
  /** What it wrote to its standard output. */
  readonly output: string
}

/** Rejects with `CREDENTIAL_PROGRAM_FAILED` where the program does not end by itself, or with the signal's reason. */
export type RunProgram = (program: Program, input: string, signal: AbortSignal) => Promise<ProgramResult>

/** `timeoutMs`: `limits.credentialProgramMs` unless given. */
export function createProgramRunner({ timeoutMs = limits.credentialProgramMs } = {}): RunProgram {
  return async (program, input, signal) => {
    signal.throwIfAborted()
    const { file } = program
    const { promise, resolve, reject } = Promise.withResolvers<ProgramResult>()
    const fail = (how: string): void => reject(programFailed(`${file} ${how}`))
    const child = start(program)
    const parts: Buffer[] = []
    let bytes = 0
    child.stdout.on('data', (part: Buffer) => {
      bytes += part.length
      if (bytes <= limits.credentialOutputMaxBytes) parts.push(part)
      else fail(`wrote more than ${limits.credentialOutputMaxBytes} bytes`)
    })
    child.once('error', (error: NodeJS.ErrnoException) => fail(`can not be run (${error.code})`))
    child.once('close', (code, killedBy) => {
      if (code === null) fail(`was ended by ${killedBy}`)
      else resolve({ code, output: Buffer.concat(parts).toString() })
    })
    // One that ends without reading is judged by its answer.
    child.stdin.on('error', () => undefined).end(input)
    const timer = setTimeout(() => fail('took too long'), timeoutMs)
    const abandon = (): void => reject(signal.reason)
    signal.addEventListener('abort', abandon)
    try {
      return await promise
    } catch (error) {
      endAll(child)
      throw error
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', abandon)
    }
  }
}

/** In a group of its own, so that whatever it starts ends with it. Its standard error is read by nobody. */
function start({ file, args, env }: Program) {
  return spawn(file, args, { env: { ...env }, cwd: '/', detached: true, stdio: ['pipe', 'pipe', 'ignore'] })
}

function endAll({ pid, stdout }: ReturnType<typeof start>): void {
  stdout.destroy()
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // All of the group have ended.
  }
}

export function programFailed(what: string): ShoalError {
  return new ShoalError('CREDENTIAL_PROGRAM_FAILED', what)
}

/** What cloud libraries read, and how they find the network; no other variable of the agent is a program's business. */
const passedNames =
  /^(?:PATH|HOME|LANG|TMPDIR|SSL_CERT_(?:FILE|DIR)|(?:HTTPS?|NO|ALL)_PROXY|(?:https?|no|all)_proxy|(?:AWS|AZURE|GOOGLE|GCE)_\w+)$/

export function programEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  const passed = Object.entries(env).filter(
    (entry): entry is [string, string] => passedNames.test(entry[0]) && entry[1] !== undefined,
  )
  return Object.fromEntries(passed)
}
