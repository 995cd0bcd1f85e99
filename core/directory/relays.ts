/**
 * Who passes small content on to whom. Manifests, configs and blobs of a few hundred KiB do without a swarm: the host of a
 * digest's directory sends each asker to one peer that has the content or is getting it, and lets the first asker of what
 * nobody has fetch it from the origin. Whoever asked is a relay for two of those who ask after it, so that a rollout is a
 * tree and no node sends much:
 *
 *   origin → 1st asker ┬→ 2nd ┬→ 4th
 *                      │      └→ 5th
 *                      └→ 3rd  → 6th …
 *
 * Everybody is sent to one who stood in line before it, so nobody waits in a circle.
 */
import { limits } from '../limits.ts'
import type { Clock, PeerId, Random } from '../ports.ts'

export interface RelayComponents {
  readonly clock: Clock
  readonly random: Random
}

export interface Relays {
  /**
   * Whom `asker` should ask; undefined: nobody has the content, and `asker` is the one to fetch it from the origin.
   * `name` is that of the line: the digest, and on which side of a border. `seeds` have it for sure; `except` are those that
   * `asker` has asked in vain.
   */
  relayFor(name: string, asker: PeerId, seeds: readonly PeerId[], except: readonly PeerId[]): PeerId | undefined
  /** Forgets the lines that are over. */
  tick(): void
}

/** Those who asked for one digest lately, within one area, behind the seeds that the first of them found. */
interface Line {
  readonly peers: PeerId[]
  readonly places: Map<PeerId, number>
  readonly seeds: number
  askedMs: number
}

export function createRelays({ clock, random }: RelayComponents): Relays {
  const lines = new Map<string, Line>()
  let places = 0

  function lineFor(name: string, seeds: readonly PeerId[]): Line {
    const line = lines.get(name) ?? createLine(seeds, clock.now())
    if (!lines.has(name)) places += seeds.length
    lines.delete(name)
    lines.set(name, line)
    line.askedMs = clock.now()
    return line
  }

  function placeOf({ peers, places: known }: Line, asker: PeerId): number {
    const place = known.get(asker)
    if (place !== undefined) return place
    // Who finds no place is sent to the others all the same, but nobody is sent to it.
    if (places >= limits.relayPlacesMax) return peers.length
    places++
    known.set(asker, peers.length)
    return peers.push(asker) - 1
  }

  function relayFor(
    name: string,
    asker: PeerId,
    seeds: readonly PeerId[],
    except: readonly PeerId[],
  ): PeerId | undefined {
    const line = lineFor(name, seeds)
    const place = placeOf(line, asker)
    const relay = line.peers[relayPlace(line, place)]
    if (relay !== undefined && relay !== asker && !except.includes(relay)) return relay
    const others = line.peers.slice(0, place).filter((peer) => peer !== asker && !except.includes(peer))
    return others.length === 0 ? undefined : others[random.below(others.length)]
  }

  function tick(): void {
    for (const [name, { askedMs, peers }] of lines) {
      if (clock.now() - askedMs < limits.relayLineMs) return
      lines.delete(name)
      places -= peers.length
    }
  }

  return { relayFor, tick }
}

function createLine(seeds: readonly PeerId[], askedMs: number): Line {
  return { peers: [...seeds], places: new Map(seeds.map((peer, place) => [peer, place])), seeds: seeds.length, askedMs }
}

/** Where the relay of a place stands; -1 for the first of a line without seeds. */
function relayPlace({ seeds }: Line, place: number): number {
  return Math.floor((place - Math.max(seeds, 1)) / limits.relayFanOut)
}
