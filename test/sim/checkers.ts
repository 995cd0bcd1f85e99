/**
 * The invariants of DESIGN as far as a simulation can see them: 1, 2, 5 (budget.ts), 6 and 7. Not 3 and 4, which are about
 * credentials, grants and possession: a simulated node has none; test/agent/access and test/integration hold those.
 */
import { limits } from '../../core/limits.ts'
import { cautionedWithinMs } from '../../core/members/cautioner.ts'
import { countBits, hasBit } from '../../core/swarm/bitfield.ts'
import { chunksOf } from '../../core/swarm/chunks.ts'
import { allowancesOf, allowedBytes, isAmongMost, isOfUse } from './budget.ts'
import type { KeptBlob } from './disk.ts'
import { isLiar, isLiarsWord, type SimNode } from './node.ts'
import type { SimOptions } from './options.ts'
import { imageBytes, openPulls, type Sim } from './sim.ts'

/** Invariant 1. */
export function checkBytes({ nodes, options, world }: Sim): void {
  for (const { behaviour, counts, id } of nodes) {
    if (behaviour === 'lies') continue
    // One liar may cost one try of the pull, where one word is enough: all of them come from one address.
    if (mayDeceive(options) && counts.retries <= 1) continue
    if (counts.wrongBytes > 0) world.violated(`${id}: ${counts.wrongBytes} chunks reached readers with a wrong byte`)
  }
}

/** Invariant 1: whom somebody has found out deceives nobody's pull that begins later than all were cautioned. */
export function watchCautioned(sim: Sim, finder: SimNode): void {
  const { engine, nodes } = sim
  const foundMs = engine.clock.now()
  const lives = new Map(nodes.map((node) => [node, node.lives]))
  const isUndisturbed = (node: SimNode): boolean =>
    node.life !== undefined && node.lives === lives.get(node) && (sim.blindMs.get(node.id) ?? -1) < foundMs
  engine.after(cautionedWithinMs(nodes.length) + cautionSlackMs, () => {
    if (!isUndisturbed(finder)) return
    for (const node of nodes.filter(isUndisturbed)) node.cautionedMs = Math.min(node.cautionedMs, engine.clock.now())
  })
}

/** For the trip, and a core that has other things to do. */
const cautionSlackMs = 1000

function mayDeceive({ liars, witnesses }: SimOptions): boolean {
  return liars > 0 && witnesses === 1
}

/** Invariant 2, first half: a reader is given up only where the origin failed this very node, or would, as its token has ended. */
export function checkFails({ nodes, world }: Sim): void {
  for (const { counts, id } of nodes)
    if (counts.fails > counts.renewals && !world.origin.hasFailed(id))
      world.violated(`${id}: gave readers up ${counts.fails - counts.renewals} times though the origin never failed it`)
}

/** Invariant 2, second half: when nothing fails any more, every pull ends; told so that one can see why not. */
export function checkDone(sim: Sim): void {
  for (const { node } of openPulls(sim)) {
    const blobs = sim.layers.map(({ digest }) => {
      const progress = node.life?.swarm.progress(digest)
      return progress === undefined ? 'none' : `${progress.held}/${progress.chunks}`
    })
    sim.world.violated(`${node.id}: not done (${blobs.join(', ')})`)
  }
}

/** Bans are for who lies: a signer may be a mere name of a liar's (liars.ts), but who is honest is banned by nobody. */
export function checkBans({ nodes, world }: Sim): void {
  for (const { behaviour, counts, id } of nodes)
    for (const banned of behaviour === 'honest' ? counts.bans : [])
      if (world.nodes.has(banned) && !isLiar(world.nodes.get(banned)))
        world.violated(`${id}: banned ${banned}, which is honest`)
}

/** Invariant 5. */
export function checkOrigin(sim: Sim): void {
  const image = imageBytes(sim)
  const times = (bytes: number): string => `${(bytes / image).toFixed(3)} ×`
  const allowances = allowancesOf(sim)
  const sent = sim.world.origin.sentBytes()
  if (sent <= allowedBytes(sim)) return
  const reasons = allowances.map(({ bytes, reason }) => `${times(bytes)} ${reason}`)
  sim.world.violated(`the origin sent ${times(sent)} the image; allowed: ${reasons.join(', ')}`)
}

/** Invariant 6: queues and maps stay within core/limits.ts. */
export function checkBounds(node: SimNode): void {
  const { life } = node
  if (life === undefined) return
  const bound = (name: string, value: number, most: number): void => {
    if (value > most || value < 0) node.world.violated(`${node.id}: ${name} is ${value}, bounded by ${most}`)
  }
  const stats = life.swarm.stats()
  bound('uploads active', stats.uploadsActive, limits.uploadsActiveLargeMax + limits.uploadsHeldUpMax)
  bound('uploads waiting', stats.uploadsWaiting, limits.uploadsWaitingMax)
  bound('requests', stats.requests, stats.peersConnected * limits.requestsPerPeer)
  bound('bytes in flight', stats.inFlightBytes, limits.inFlightMaxBytes)
  bound('bytes settling', stats.settlingBytes, limits.inFlightMaxBytes + limits.originInFlightMaxBytes)
  bound('peers known', stats.peersKnown, limits.peersMax)
  const directory = life.directory.stats()
  bound('digests hosted', directory.digests, limits.directoryDigestsMax)
  bound('announcers', directory.announcers, limits.directoryAnnouncersMax)
  bound('members', life.members?.live().length ?? 0, limits.membersMax)
}

/** Invariant 7: after a restart the swarm has every chunk that was kept before the crash, and each is as it was verified. */
export function checkRestart(node: SimNode): void {
  for (const kept of node.disk.all()) {
    const held = node.life?.swarm.progress(kept.blob.digest)?.held ?? 0
    const count = countBits(kept.have)
    if (held !== count) node.world.violated(`${node.id}: restarted with ${held} chunks of ${count}`)
    for (const index of chunksOf(kept.blob.size)) if (hasBit(kept.have, index)) checkServed(node, kept, index)
  }
}

/** Invariants 1 and 7, where a node serves: who is honest sends nothing that is not the blob's, but on the word of a liar. */
export function checkServed(node: SimNode, { blob, entries, pieces }: KeptBlob, index: number): void {
  const isDeceived = isLiarsWord(node.world, entries[index])
  if (node.behaviour === 'honest' && !isDeceived && !blob.isTrue(index, pieces[index] ?? []))
    node.world.violated(`${node.id}: serves a wrong byte in chunk ${index}`)
}

/**
 * Dead, hung or departed: five seconds on nobody lists it, hosts by it, names it or believes in a connection to it. Who was
 * down itself, or out of touch with most, can't tell what happened meanwhile: its five seconds begin when that ends. While they
 * last it may tell of the lost one whoever knew nothing of that.
 */
export function watchGone(sim: Sim, gone: SimNode): void {
  const { engine, nodes, world } = sim
  const { lives } = gone
  const lostMs = engine.clock.now()
  const knew = new Map(nodes.filter((node) => lists(node, gone)).map((node) => [node, node.lives]))
  const hasKnown = (node: SimNode): boolean => node !== gone && isUp(node) && knew.get(node) === node.lives
  const sourcesOf = (viewer: SimNode): SimNode[] => {
    const tellers = nodes.filter((node) => hasKnown(node) && world.network.reaches(node.id, viewer.id))
    return hasKnown(viewer) ? [viewer] : [viewer, ...tellers]
  }
  const look = (viewer: SimNode): void => {
    const isBack = gone.lives !== lives || (gone.life !== undefined && gone.behaviour !== 'freezes')
    if (isBack) return
    const sinceMs = Math.max(lostMs, ...sourcesOf(viewer).map(({ id }) => sim.blindMs.get(id) ?? lostMs))
    const leftMs = sinceMs + goneMs - engine.clock.now()
    if (leftMs > 0) engine.after(leftMs, () => look(viewer))
    else
      for (const view of viewsOf(sim, gone, [viewer]))
        world.violated(`${view}, lost at ${lostMs} ms, and could tell since ${sinceMs.toFixed(0)} ms`)
  }
  for (const viewer of nodes) if (viewer !== gone) engine.after(goneMs, () => look(viewer))
}

function isUp({ behaviour, life }: SimNode): boolean {
  return life !== undefined && behaviour !== 'freezes'
}

function lists({ life }: SimNode, gone: SimNode): boolean {
  return life?.members?.live().includes(gone.id) === true
}

/**
 * Who can't tell now who is lost: it is down, or in touch with less than half of the others, or has no other left. Who is alone
 * with one that is silent can't tell whether that is so to others (core/members/contacts.ts).
 */
export function noteBlind(sim: Sim): void {
  for (const node of sim.nodes) {
    const isAlone = !sim.nodes.some((other) => other !== node && isOfUse(other))
    if (!isUp(node) || isAlone || !isAmongMost(sim, node)) sim.blindMs.set(node.id, sim.engine.clock.now())
  }
}

const goneMs = 5000

/** Where a node is still believed in. */
export function viewsOf(sim: Sim, gone: SimNode, viewers: readonly SimNode[] = sim.nodes): string[] {
  const views: string[] = []
  const { network } = sim.world
  for (const viewer of viewers) {
    const { behaviour, id, life } = viewer
    if (life === undefined || behaviour === 'freezes' || id === gone.id || !network.reaches(id, gone.id)) continue
    if (lists(viewer, gone)) views.push(`${id} lists ${gone.id}`)
    if (network.sees(id, gone.id)) views.push(`${id} is connected to ${gone.id}`)
    for (const { digest } of sim.layers)
      if (life.owners.of(digest).includes(gone.id)) views.push(`${id} has ${gone.id} host a directory`)
  }
  return views
}
