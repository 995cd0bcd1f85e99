/**
 * What of doctor's findings is written as Kubernetes Events, and when. Each code has one Event while it is found: made once two looks
 * in a row have found it, since much is so for a moment while agents start together, counted up now and then while it lasts, and
 * followed by one more that says it is over. What could not be written is still lacking at the next look, so nobody keeps it to try
 * again.
 */
import { limits } from '../limits.ts'
import type { Clock } from '../ports.ts'
import type { Finding, FindingCode } from './findings.ts'

export interface EventWrite {
  /** `again`: the Event that was made last for this code stands for `count` looks by now. The others are Events of their own. */
  readonly kind: 'new' | 'again' | 'resolved'
  readonly code: FindingCode
  readonly type: 'Warning' | 'Normal'
  /** The code in the form that Kubernetes' own reasons have: `HostsStale`. */
  readonly reason: string
  /** Without why, and what to do. */
  readonly what: string
  /** For people; at most `limits.eventNoteBytesMax`. `kubectl get events` shows its first line. */
  readonly note: string
  readonly count: number
}

export interface FindingEvents {
  /** What is to be written after a look that found these, worst first; no more than the pace allows. */
  look(findings: readonly Finding[]): EventWrite[]
  /** It is. */
  written(write: EventWrite): void
}

interface Told {
  readonly write: EventWrite
  readonly writtenMs: number
  /** How many looks have found it since its Event was made. */
  count: number
}

export function createFindingEvents(clock: Clock): FindingEvents {
  const told = new Map<FindingCode, Told>()
  /** What the last look found. */
  let found = new Set<FindingCode>()
  let allowed: number = limits.eventsMax
  let sinceMs = clock.now()

  function refill(): number {
    const nowMs = clock.now()
    allowed = Math.min(limits.eventsMax, allowed + (nowMs - sinceMs) / limits.eventEveryMs)
    sinceMs = nowMs
    return Math.floor(allowed)
  }

  function present(current: EventWrite): EventWrite[] {
    const last = told.get(current.code)
    if (last === undefined) return found.has(current.code) ? [current] : []
    last.count += 1
    if (clock.now() - last.writtenMs < limits.eventAgainMs) return []
    // The note of an Event can not be changed: other words take another Event.
    return [last.write.note === current.note ? { ...current, kind: 'again', count: last.count } : current]
  }

  return {
    look(findings) {
      const byCode = Map.groupBy(findings, ({ code }) => code)
      const gone = [...told.values()].filter(({ write }) => !byCode.has(write.code))
      const writes = [
        ...[...byCode.values()].flatMap(([first, ...others]) =>
          first === undefined ? [] : present(eventOf(first, others.length)),
        ),
        ...gone.map(({ write }) => resolved(write)),
      ]
      found = new Set(byCode.keys())
      return writes.slice(0, refill())
    },
    written(write) {
      allowed -= 1
      if (write.kind === 'resolved') told.delete(write.code)
      else told.set(write.code, { write, writtenMs: clock.now(), count: write.count })
    },
  }
}

/** Of a finding, and of how many others with its code. */
function eventOf({ code, severity, what: own, why, fix }: Finding, others: number): EventWrite {
  const what = others === 0 ? own : `${own} (and ${others} more)`
  return {
    kind: 'new',
    code,
    type: severity === 'info' ? 'Normal' : 'Warning',
    reason: reasonOf(code),
    what,
    note: fitting(`${what}. ${why}\n${fix}`),
    count: 1,
  }
}

function resolved({ code, what }: EventWrite): EventWrite {
  const note = fitting(`Doctor no longer finds this: ${what}.`)
  return { kind: 'resolved', code, type: 'Normal', reason: `${reasonOf(code)}Resolved`, what, note, count: 1 }
}

function reasonOf(code: FindingCode): string {
  return code.replaceAll(/([A-Z])([A-Z]*)_?/g, (_word, initial: string, rest: string) => initial + rest.toLowerCase())
}

const encoder = new TextEncoder()
const rest = "\n… the agent's log has the rest"

/** Cut between lines, so that nobody pastes half a command; the first line, which is prose, anywhere. */
function fitting(note: string): string {
  const room = new Uint8Array(limits.eventNoteBytesMax)
  if (encoder.encodeInto(note, room).read === note.length) return note
  const { read } = encoder.encodeInto(note, room.subarray(encoder.encode(rest).length))
  const start = note.slice(0, read)
  const lines = start.lastIndexOf('\n')
  return (lines > 0 ? start.slice(0, lines) : start) + rest
}
