/** A file that is looked at whenever it is needed, and read again when it has changed. */
import { type FileHandle, open } from 'node:fs/promises'
import { ShoalError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { warnOfReaders, writableByAll } from '../file-mode.ts'
import { codeOf } from '../kept-file.ts'
import type { Logger } from '../logging.ts'

export interface WatchedFile<Content> {
  /** What the file says now. Undefined where it is gone or says nothing good, which is logged once per change. */
  content(): Promise<Content | undefined>
  /** The same, but rejects with `CREDENTIALS_INVALID`: for the start of the agent. */
  load(): Promise<Content>
}

export interface WatchedFileOptions<Content> {
  readonly file: string
  /** Does it hold secrets, so that nobody but its owner and group should read it? */
  readonly secret: boolean
  /** Its error's message must not hold what the file says. */
  readonly parse: (text: string) => Content
}

type Reading<Content> = { readonly content: Content } | { readonly error: ShoalError }

interface Look<Content> {
  /** What tells one version of the file from another; undefined where it can't be opened. */
  readonly version: string | undefined
  readonly reading: Reading<Content>
}

export function createWatchedFile<Content>(
  logger: Pick<Logger, 'warn'>,
  options: WatchedFileOptions<Content>,
): WatchedFile<Content> {
  const { file } = options
  let last: Look<Content> | undefined

  async function read(): Promise<Reading<Content>> {
    const before = last
    const { version, reading } = (last = await look())
    if ('error' in reading && (before === undefined || before.version !== version))
      logger.warn({ err: reading.error }, 'no credentials from a file')
    return reading
  }

  async function look(): Promise<Look<Content>> {
    try {
      await using handle = await open(file, 'r')
      const { ino, size, mode, mtimeNs, ctimeNs } = await handle.stat({ bigint: true })
      const version = [ino, size, mode, mtimeNs, ctimeNs].join(' ')
      if (last?.version === version) return last
      return { version, reading: await readFrom(handle, Number(mode), Number(size)) }
    } catch (cause) {
      return { version: undefined, reading: { error: invalid(file, `can not be read (${codeOf(cause)})`) } }
    }
  }

  async function readFrom(handle: FileHandle, mode: number, size: number): Promise<Reading<Content>> {
    const fault = writableByAll(mode) ?? tooLarge(size)
    if (fault !== undefined) return { error: invalid(file, fault) }
    if (options.secret) warnOfReaders(logger, file, mode)
    const text = await handle.readFile('utf8')
    try {
      return { content: options.parse(text) }
    } catch (error) {
      return { error: invalid(file, error instanceof Error ? error.message : String(error)) }
    }
  }

  return {
    async content() {
      const reading = await read()
      return 'content' in reading ? reading.content : undefined
    },
    async load() {
      const reading = await read()
      if ('error' in reading) throw reading.error
      return reading.content
    },
  }
}

function tooLarge(size: number): string | undefined {
  return size > limits.credentialFileMaxBytes ? `has more than ${limits.credentialFileMaxBytes} bytes` : undefined
}

function invalid(file: string, what: string): ShoalError {
  return new ShoalError('CREDENTIALS_INVALID', `${file}: ${what}`)
}
