/** Structured logs, one JSON object a line or lines for people, without secrets. */
import { pino, type Logger as PinoLogger } from 'pino'
import { z } from 'zod'
import type { AgentConfig } from './config.ts'
import { redact } from './redact.ts'

export type Logger = PinoLogger

/** Where lines go; each ends in a newline. */
export interface LogOutput {
  write(line: string): void
}

export interface LogOptions {
  readonly level: AgentConfig['logLevel']
  readonly format: AgentConfig['logFormat']
}

/**
 * Every line is parsed, redacted and written again, so that no child logger, serializer or message gets past.
 * That costs some microseconds a line; nothing logs per chunk.
 */
export function createLogger({ level, format }: LogOptions, output: LogOutput = process.stdout): Logger {
  const render = format === 'json' ? renderJson : renderPretty
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => output.write(`${render(redact(JSON.parse(line)))}\n`) },
  )
}

const renderJson = (record: unknown): string => JSON.stringify(record)

const prettyRecord = z
  .looseObject({ level: z.string(), time: z.string(), msg: z.string().default('') })
  .transform(({ level, time, msg, ...rest }) => ({ level, time, msg, rest }))

/** `12:34:56.789 INFO  mirror listens  address=127.0.0.1:5050`, then the stack of an error, if there is one. */
function renderPretty(record: unknown): string {
  const { level, time, msg, rest } = prettyRecord.parse(record)
  const { stack, fields } = splitError(rest)
  const pairs = Object.entries(fields).map(([name, value]) => `${name}=${showField(value)}`)
  return [`${time.slice(11, 23)} ${level.toUpperCase().padEnd(5)} ${msg}`, ...pairs].join('  ') + stack
}

const errorField = z.looseObject({ message: z.string(), stack: z.string() })

function splitError({ err, ...fields }: Record<string, unknown>): { stack: string; fields: Record<string, unknown> } {
  const error = errorField.safeParse(err)
  if (!error.success) return { stack: '', fields: err === undefined ? fields : { err, ...fields } }
  return { stack: `\n${error.data.stack.replaceAll(/^/gm, '    ')}`, fields }
}

function showField(value: unknown): string {
  return typeof value === 'string' && !/\s/.test(value) ? value : JSON.stringify(value)
}
