/** Where this agent finds its first other members: listed, or looked up under one name, as a headless Service has it. */
import { lookup, Resolver } from 'node:dns/promises'
import { limits } from '../../core/limits.ts'
import type { Clock } from '../../core/ports.ts'
import { formatHostPort } from '../config-values.ts'
import type { HostPort } from '../config-values.ts'

export interface SeedOptions {
  readonly seeds: readonly HostPort[]
  /** A name whose addresses are agents, and the port of their cluster listeners. */
  readonly seedsDns?: HostPort
  /** Who is asked for that name, as `setServers` of node:dns takes them; the system's resolver where there are none. */
  readonly seedsDnsServers?: readonly string[]
}

export interface SeedComponents {
  readonly clock: Clock
  /** The addresses behind a name; DNS unless a test stands in. */
  readonly resolve?: Resolve
}

type Resolve = (name: string) => Promise<readonly string[]>

export interface SeedLookup {
  stop(): void
}

/**
 * Tells `onSeeds` where seeds are, in an order on which all agents agree, now and whenever it changes. Those that are listed wait for no
 * name. A name that gives nothing for `limits.seedGraceMs` counts as no seed, and until then as what it gave last; it is looked up all the same.
 */
export function watchSeeds(
  { clock, resolve }: SeedComponents,
  { seeds, seedsDns, seedsDnsServers = [] }: SeedOptions,
  onSeeds: (seeds: readonly string[]) => void,
): SeedLookup {
  const listed = seeds.map((seed) => formatHostPort(seed))
  if (seedsDns === undefined) {
    onSeeds(listed)
    return { stop: () => {} }
  }
  const { host, port } = seedsDns
  const addressesOf = resolve ?? seedResolver(seedsDnsServers)
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let told: string | undefined
  /** Since when the name has given nothing; undefined: it gives something. */
  let emptyMs: number | undefined = clock.now()

  async function look(): Promise<void> {
    const found = await addressesOf(host).catch(() => [])
    if (stopped) return
    const named = [...found].toSorted().map((address) => formatHostPort({ host: address, port }))
    emptyMs = named.length > 0 ? undefined : (emptyMs ?? clock.now())
    if (emptyMs === undefined || clock.now() - emptyMs >= limits.seedGraceMs) tell([...listed, ...named])
    timer = setTimeout(() => void look(), named.length > 0 ? limits.seedLookupIdleMs : limits.seedLookupMs).unref()
  }
  function tell(all: readonly string[]): void {
    const text = all.join(' ')
    if (text === told) return
    told = text
    onSeeds(all)
  }
  if (listed.length > 0) tell(listed)
  void look()
  return {
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}

/** How the addresses behind the name are found; of `servers`, or of the system where there are none. */
export function seedResolver(servers: readonly string[]): Resolve {
  return servers.length > 0 ? askServers(servers) : askSystem
}

async function askSystem(name: string): Promise<string[]> {
  const found = await lookup(name, { all: true })
  return found.map(({ address }) => address)
}

/** Addresses of either family; one that fails does not hide the other. Rejects where both fail. */
function askServers(servers: readonly string[]): Resolve {
  const resolver = new Resolver({ timeout: limits.seedsDnsTimeoutMs, tries: limits.seedsDnsTries })
  resolver.setServers(servers)
  return async (name) => {
    const families = [resolver.resolve4(name), resolver.resolve6(name)]
    await Promise.any(families)
    const answers = await Promise.allSettled(families)
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  }
}
