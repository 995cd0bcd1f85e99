/**
 * Invariant 5: what the origin may send. One copy and 2 % (DESIGN, Numbers), and beyond that only what a fault made it send in
 * vain. Each such allowance is measured in the world when the fault happens, and has its reason here.
 */
import { holdersAmong } from '../../core/directory/leases.ts'
import type { AnnounceAnswer, AnnounceRequest, ChunkRange } from '../../core/directory/messages.ts'
import type { Digest } from '../../core/oci/digest.ts'
import type { PeerId } from '../../core/ports.ts'
import { hasBit } from '../../core/swarm/bitfield.ts'
import { chunkCountOf, chunkLengthOf, chunkSizeOf, chunksOf } from '../../core/swarm/chunks.ts'
import { windowBytes } from './links.ts'
import type { Blob } from './matter.ts'
import { isLiar, isLiarsWord, type SimNode } from './node.ts'
import type { Answer } from './origin.ts'
import { imageBytes, type Allowance, type Sim } from './sim.ts'

const originShare = 1.02

/** A node is about to be lost: what it alone had must be sent again, and what is on its way to it is sent in vain. */
export function noteLoss(sim: Sim, node: SimNode): void {
  const own = sim.world.origin.answers().filter((answer) => answer.node === node.id)
  const others = sim.nodes.filter((other) => other !== node && isOfUse(other) && areInTouch(sim, node, other))
  let bytes = 0
  for (const blob of sim.layers) {
    let alone = 0
    for (let index = 0; index < chunkCountOf(blob.size); index++)
      if (!others.some((other) => hasTrue(other, blob, index))) alone += hadOf(node, own, blob, index)
    bytes += alone === 0 ? 0 : Math.max(alone, againBytes(sim, blob))
  }
  for (const { blob, endedAtMs } of own) if (endedAtMs === undefined) bytes += windowBytes + againBytes(sim, blob)
  allow(sim, `${node.id} was lost`, bytes)
}

/** An origin that ignores Range begins again at the first byte, whoever has that by now. */
function againBytes({ options }: Sim, blob: Blob): number {
  return options.originUnranged ? blob.size : 0
}

/**
 * A reader of a part has it and is gone, and with it the answer of an origin that ignores Range: who needs the rest gets the
 * blob from its first byte.
 */
export function noteRead(sim: Sim, node: SimNode, blob: Blob): void {
  if (!sim.options.originUnranged) return
  const nowMs = sim.engine.clock.now()
  for (const answer of sim.world.origin.answers())
    if (answer.node === node.id && answer.blob === blob && answer.endedAtMs === nowMs && answer.sentBytes < blob.size)
      allow(sim, `${node.id} has read its part`, answer.sentBytes + windowBytes)
}

/**
 * Nodes are about to part: both sides may fetch what they do not both have, in each group that is in touch until now, and behind
 * a border each area of each side, since no directory sends it across.
 */
export function notePartition(sim: Sim, side: ReadonlySet<PeerId>): void {
  let bytes = 0
  for (const group of groupsOf(sim)) {
    const parts = Map.groupBy(group, (node) => `${side.has(node.id)} ${areaOf(node)}`)
    const isParted = new Set(group.map(({ id }) => side.has(id))).size > 1
    if (isParted) bytes += lackedBy(sim, [...parts.values()])
  }
  allow(sim, `${side.size} nodes parted`, bytes)
}

/**
 * A node comes, or is back, in a partition that began without it, and is in touch with nobody of its area: that parts it as if it
 * began now.
 */
export function noteArrival(sim: Sim, node: SimNode): void {
  const others = sim.nodes.filter((other) => other !== node && isOfUse(other) && areaOf(other) === areaOf(node))
  if (isOfUse(node) && others.length > 0 && !others.some((other) => areInTouch(sim, node, other)))
    allow(sim, `${node.id} came parted`, lackedBy(sim, [[node], others]))
}

/** A node that knows nobody, as it was parted from all seeds for as long as it waits for one, is a cluster of its own (core/members). */
export function noteAlone(sim: Sim, node: SimNode): void {
  const others = sim.nodes.filter((other) => other !== node && isOfUse(other))
  const isSeed = sim.world.seeds.includes(node.id)
  if (isOfUse(node) && !isSeed && others.length > 0)
    allow(sim, `${node.id} knows nobody`, lackedBy(sim, [[node], others]))
}

function areaOf({ options }: SimNode): string {
  return options.border === 'none' ? '' : options.zone
}

/**
 * A node helps itself to its reader's next chunk, since no directory answers (DESIGN, Directory). That is as it should be where
 * all who host the digest, as the node sees it, are on the other side of a partition; others on its side may do so as well. And
 * where all near that have what it lacks were lied to, and look for the lie for longer than it waits: behind a slow origin. Said of
 * nothing that they do not hand on, it would have the directory send others for that at once: world dawn12-35 with 48 other dice took
 * 12.2 images on average in place of 10.7.
 */
export function noteHelp(sim: Sim, node: SimNode, digest: Digest): void {
  const { blobs, network, nodes } = sim.world
  const hosts = node.life?.owners.of(digest).map((id) => nodes.get(id)!) ?? []
  const living = hosts.filter(isOfUse)
  const isParted = living.length > 0 && !living.some(({ id }) => network.reaches(node.id, id))
  const blob = blobs.get(digest)!
  if (isParted || !isAmongMost(sim, node))
    allow(sim, `${node.id} was parted from its hosts`, Math.max(chunkSizeOf(blob.size), againBytes(sim, blob)))
  else if (isWithheld(sim, node, blob)) allowOnce(sim, `${node.id} got nothing of ${digest} from who was lied to`, blob)
  else if (hosts[0]?.behaviour === 'lies') noteLyingHost(sim, node, digest)
}

/** Is something that it lacks held near, and only by those who hand it on as a liar's, or not at all? */
function isWithheld(sim: Sim, node: SimNode, blob: Blob): boolean {
  const near = sim.nodes.filter((other) => other !== node && isOfUse(other) && areaOf(other) === areaOf(node))
  for (let index = 0; index < chunkCountOf(blob.size); index++) {
    const holders = holds(node, blob, index) ? [] : near.filter((other) => holds(other, blob, index))
    if (holders.length > 0 && holders.every((holder) => isKept(sim, holder, blob, index))) return true
  }
  return false
}

/** A directory has answered. */
export function noteGrants(sim: Sim, host: PeerId, answer: AnnounceAnswer, request: AnnounceRequest): void {
  const node = sim.world.nodes.get(request.from.peer)!
  if (sim.world.nodes.get(host)?.behaviour !== 'lies') noteInsistence(sim, node, answer, request)
  else for (const { digest, lease } of answer.items) if (lease !== undefined) noteLyingHost(sim, node, digest)
}

/** Who hosts a directory and lies can have each node take the blob from the origin (ARCHITECTURE, Who lies), and no more than that. */
function noteLyingHost(sim: Sim, node: SimNode, digest: Digest): void {
  allowOnce(sim, `${node.id} had a liar for a host of ${digest}`, sim.world.blobs.get(digest)!)
}

function allowOnce({ allowances }: Sim, why: string, { size }: Blob): void {
  if (!allowances.some(({ reason }) => reason === why)) allowances.push({ reason: why, bytes: size })
}

/**
 * A node insists on a lease for what others hold. That is as it should be where it is parted from most, and knows next to nobody of
 * its side; and where those of its area hold it on the word of a liar, or look for a lie, or none of them is honest: the budget is a copy
 * for each region.
 */
function noteInsistence(sim: Sim, node: SimNode, { items }: AnnounceAnswer, { items: asked }: AnnounceRequest): void {
  const isParted = !isAmongMost(sim, node)
  const why = isParted ? 'parted from most' : 'others near were lied to'
  const insisting = new Set(asked.filter(({ lease }) => lease?.insists === true).map(({ digest }) => digest))
  for (const { digest, lease } of items) {
    if (lease === undefined || !insisting.has(digest)) continue
    const blob = sim.world.blobs.get(digest)!
    const bytes = heldByOthers(sim, node, blob, lease, isParted)
    allow(sim, `${node.id} insisted, ${why}`, bytes === 0 ? 0 : Math.max(bytes, againBytes(sim, blob)))
  }
}

function heldByOthers(sim: Sim, node: SimNode, blob: Blob, { end, start }: ChunkRange, isParted: boolean): number {
  const others = sim.nodes.filter((other) => other !== node && isOfUse(other) && areInTouch(sim, node, other))
  let bytes = 0
  for (let index = start; index < end; index++) {
    const holders = others.filter((other) => holds(other, blob, index))
    const near = holders.filter((holder) => areaOf(holder) === areaOf(node))
    const isUseless = isParted || near.every((holder) => isKept(sim, holder, blob, index))
    if (holders.length > 0 && isUseless) bytes += chunkLengthOf(blob.size, index)
  }
  return bytes
}

/** Has it the chunk on a liar's word, or doesn't hand it on? Who looks for a lie hands on nothing but its own. */
function isKept({ world }: Sim, { disk, id, life }: SimNode, { digest }: Blob, index: number): boolean {
  const entry = disk.of(digest)?.entries[index]
  return isLiarsWord(world, entry) || (life?.wrong.has(digest) === true && entry?.signer !== id)
}

/** Is it in touch with half of the others? Who is not can't tell who is dead, and accuses nobody (core/members/health.ts). */
export function isAmongMost(sim: Sim, node: SimNode): boolean {
  const others = sim.nodes.filter((other) => other !== node && isOfUse(other))
  return others.filter((other) => areInTouch(sim, node, other)).length * 2 >= others.length
}

/** Nodes of use, by who is in touch with whom. */
function groupsOf(sim: Sim): SimNode[][] {
  const groups: SimNode[][] = []
  for (const node of sim.nodes.filter(isOfUse)) {
    const group = groups.find(([other]) => other !== undefined && areInTouch(sim, node, other))
    if (group === undefined) groups.push([node])
    else group.push(node)
  }
  return groups
}

/** What parts lack, each on its own; one copy of what all of them lack is nothing beyond the image. */
function lackedBy(sim: Sim, parts: readonly (readonly SimNode[])[]): number {
  let bytes = 0
  for (const blob of sim.layers) {
    const lacking = chunksOf(blob.size).map((index) =>
      parts.filter((nodes) => !nodes.some((node) => hasTrue(node, blob, index))),
    )
    const own = (index: number): number => Math.min(lacking[index]!.length, parts.length - 1)
    const chunks = lacking.reduce((sum, _, index) => sum + own(index) * chunkLengthOf(blob.size, index), 0)
    const answers = new Set(lacking.flat()).size - (lacking.some(({ length }) => length === parts.length) ? 1 : 0)
    bytes += Math.max(chunks, answers * againBytes(sim, blob))
  }
  return bytes
}

function allow({ allowances, engine }: Sim, reason: string, bytes: number): void {
  if (bytes > 0) allowances.push({ reason: `${engine.clock.now().toFixed(0)} ms: ${reason}`, bytes })
}

export function isOfUse({ behaviour, life }: SimNode): boolean {
  return life !== undefined && behaviour === 'honest'
}

function areInTouch({ world: { network } }: Sim, one: SimNode, other: SimNode): boolean {
  return network.reaches(one.id, other.id) && network.reaches(other.id, one.id)
}

function holds(node: SimNode, { digest }: Blob, index: number): boolean {
  const kept = node.disk.of(digest)
  return kept !== undefined && hasBit(kept.have, index)
}

/** Who keeps a lie of a chunk has not got it. */
function hasTrue(node: SimNode, blob: Blob, index: number): boolean {
  return holds(node, blob, index) && blob.isTrue(index, node.disk.of(blob.digest)?.pieces[index] ?? [])
}

/** Bytes of a chunk that the node holds, or has had from the origin so far. */
function hadOf(node: SimNode, own: readonly Answer[], blob: Blob, index: number): number {
  if (hasTrue(node, blob, index)) return chunkLengthOf(blob.size, index)
  return own.reduce((most, answer) => Math.max(most, overlap(answer, blob, index)), 0)
}

function overlap({ blob, from, sentBytes }: Answer, of: Blob, index: number): number {
  if (blob !== of) return 0
  const start = index * chunkSizeOf(of.size)
  const end = start + chunkLengthOf(of.size, index)
  return Math.max(0, Math.min(end, from + sentBytes) - Math.max(start, from))
}

/** All that may be sent beyond the image, with reasons. */
export function allowancesOf(sim: Sim): readonly Allowance[] {
  const total = [
    { reason: 'one copy and 2 %', bytes: originShare * imageBytes(sim) },
    ...sim.allowances,
    { reason: 'liars fetched for nobody', bytes: liarsBytes(sim) },
    { reason: 'what liars may have forged, anew', bytes: escapedBytes(sim) },
    { reason: 'the origin failed halfway', bytes: brokenBytes(sim) },
    { reason: 'the origin ignored Range', bytes: unrangedBytes(sim) },
    { reason: 'disks refused what was fetched', bytes: refusedBytes(sim) },
    { reason: 'disks refused what must wait for witnesses', bytes: ownBytes(sim) },
  ]
  return total.filter(({ bytes }) => bytes > 0)
}

/** The sum of these. */
export function allowedBytes(sim: Sim): number {
  return allowancesOf(sim).reduce((sum, { bytes }) => sum + bytes, 0)
}

/** What a liar fetches, it sends on wrong; so all that was sent to it counts, also what it had given up by then. */
function liarsBytes({ nodes, world }: Sim): number {
  const liars = new Set(nodes.filter(isLiar).map(({ id }) => id))
  return world.origin.answers().reduce((sum, { node, sentBytes }) => sum + (liars.has(node) ? sentBytes : 0), 0)
}

/** A reader was held back for too long, or a blob was wrong: outside the budget (DESIGN, Integrity). */
function escapedBytes({ world }: Sim): number {
  return world.origin.answers().reduce((sum, { isEscape, sentBytes }) => sum + (isEscape ? sentBytes : 0), 0)
}

/** An answer that stalls or breaks: the chunk that it was at goes to another agent, from its first byte. */
function brokenBytes(sim: Sim): number {
  let bytes = 0
  for (const { blob, hasBroken, sentBytes } of sim.world.origin.answers())
    if (hasBroken) bytes += windowBytes + (sim.options.originUnranged ? sentBytes : chunkSizeOf(blob.size))
  return bytes
}

/** Until the first answer shows it, several hold leases; each gives its answer up at the first bytes. */
function unrangedBytes({ layers, options }: Sim): number {
  if (!options.originUnranged) return 0
  const early = Math.min(holdersAmong(options.nodes), options.nodes) - 1
  return layers.reduce((sum, { size }) => sum + early * Math.min(size, windowBytes), 0)
}

/** What a disk refused passes through to this node's readers and can't be shared, so that another fetches it. */
function refusedBytes(sim: Sim): number {
  const answers = sim.world.origin.answers()
  let bytes = 0
  for (const { id, refused } of sim.nodes)
    for (const { blob, index } of refused) {
      const isFetched = answers.some((answer) => answer.node === id && overlap(answer, blob, index) > 0)
      if (isFetched) bytes += Math.max(chunkLengthOf(blob.size, index), againBytes(sim, blob))
    }
  return bytes
}

/**
 * What its disk refuses can't wait in memory until enough vouch for it: the node takes the blob from the origin itself, where its own
 * bytes need no witness (ARCHITECTURE, Who lies), and once.
 */
function ownBytes({ nodes }: Sim): number {
  return nodes.reduce((sum, { ownOnly }) => sum + [...ownOnly].reduce((bytes, { size }) => bytes + size, 0), 0)
}
