/** Programs that tell secrets: run without a shell, with a bounded answer, in bounded time, and nothing they say is logged. */
import { execFile, type ExecFileException } from 'node:child_process'
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
  return (program, input, signal) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const options = {
        env: { ...program.env },
        cwd: '/',
        timeout: timeoutMs,
        maxBuffer: limits.credentialOutputMaxBytes,
        killSignal: 'SIGKILL',
        signal,
      } as const
      const child = execFile(program.file, program.args, options, (error, output) => {
        if (signal.aborted) reject(signal.reason)
        else if (error === null) resolve({ code: 0, output })
        else if (typeof error.code === 'number') resolve({ code: error.code, output })
        // Not as the cause: its message holds what the program wrote to its standard error.
        else reject(programFailed(`${program.file} ${reasonOf(error)}`))
      })
      // One that ends without reading is judged by its answer.
      child.stdin?.on('error', () => undefined).end(input)
    })
}

function reasonOf({ code, signal, killed }: ExecFileException): string {
  if (code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER') return `wrote more than ${limits.credentialOutputMaxBytes} bytes`
  if (killed === true) return 'took too long'
  return code === undefined || code === null ? `was ended by ${signal}` : `can not be run (${code})`
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
