/** Durations as Go and so Kubernetes write them: `12h`, `1h30m`, `0s`. */
import { hour, millisecond, minute, second } from '../../core/units.ts'

const units: Readonly<Record<string, number>> = {
  ns: millisecond / 1e6,
  us: millisecond / 1e3,
  '\u00b5s': millisecond / 1e3,
  '\u03bcs': millisecond / 1e3,
  ms: millisecond,
  s: second,
  m: minute,
  h: hour,
}
const term = /(\d+(?:\.\d+)?)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/g
const grammar = new RegExp(`^(?:0|(?:${term.source})+)$`)

/** In milliseconds. Undefined where the text is none, or one below zero. */
export function parseGoDuration(text: string): number | undefined {
  if (!grammar.test(text)) return undefined
  return [...text.matchAll(term)].reduce((sum, [, count, unit]) => sum + Number(count) * (units[unit ?? ''] ?? 0), 0)
}
