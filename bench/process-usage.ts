/** What a process, or the whole machine, has used, as Linux counts it. */
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { cpus } from 'node:os'

/** Largest resident size so far, in bytes. */
export function peakMemoryBytes(pid: number): Promise<number> {
  return statusBytes(pid, 'VmHWM')
}

/** Resident size now, in bytes. */
export function memoryBytes(pid: number): Promise<number> {
  return statusBytes(pid, 'VmRSS')
}

async function statusBytes(pid: number, field: string): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024
}

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK']))

/** CPU time so far in seconds, user and system, all threads. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The second field, the name, may hold spaces; what follows its last parenthesis starts with field 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** Of the time of all cores since then, the share in which they were not idle; `since` is an earlier `coreTimes()`. */
export function busyShare(since: CoreTimes): number {
  const now = coreTimes()
  return 1 - (now.idleMs - since.idleMs) / (now.allMs - since.allMs)
}

export interface CoreTimes {
  readonly idleMs: number
  readonly allMs: number
}

/** Of all cores together, since the machine started. */
export function coreTimes(): CoreTimes {
  let idleMs = 0
  let allMs = 0
  for (const { times } of cpus()) {
    idleMs += times.idle
    for (const ms of Object.values(times)) allMs += ms
  }
  return { idleMs, allMs }
}
