/**
 * Who asks for chunks and reads nothing of what it is sent keeps places from all others. Who has places for longer than a slow link
 * takes for a chunk is left to others for a while, as far as these ask for them; by address, since peer IDs are made at will.
 */
import type { PeerId } from '../ports.ts'
import { hostOf } from './hosts.ts'
import { slowChunkMs } from './link.ts'
import { lengthOf } from './session.ts'
import { type Host, smoothed, type SwarmState, type Upload } from './state.ts'

/** A chunk was taken whole. */
export function noteTaken(state: SwarmState, upload: Upload): void {
  const bytes = bytesOf(state, upload)
  if (bytes > 0) state.uploads.takenByteMs = smoothed(state.uploads.takenByteMs, placeMs(state, upload) / bytes)
  const host = hostOfPeer(state, upload.peer)
  if (host !== undefined) host.idleRests = 0
}

/**
 * How many uploads have their places. Those that take several times as long as usual leave theirs to others, a few at a time, as
 * each has a chunk in memory: until they are found to be taken by nobody, or end after all.
 */
export function placesTaken(state: SwarmState): number {
  const { active } = state.uploads
  let heldUp = 0
  for (const upload of active) if (isHeldUp(state, upload)) heldUp++
  return active.length - Math.min(heldUp, state.limits.uploadsHeldUpMax)
}

function isHeldUp(state: SwarmState, upload: Upload): boolean {
  const { limits, uploads } = state
  const byteMs =
    uploads.takenByteMs === 0 ? 1 / limits.leaseStarvedBytesPerMs : limits.uploadHeldUpTimes * uploads.takenByteMs
  return placeMs(state, upload) >= Math.max(limits.uploadHeldUpMs, bytesOf(state, upload) * byteMs)
}

/** It was given places in vain, and is left to others now. */
export function isLeftToOthers(state: SwarmState, peer: PeerId): boolean {
  const host = hostOfPeer(state, peer)
  return host !== undefined && isResting(state, host)
}

function isResting({ clock }: SwarmState, { idleUntilMs }: Host): boolean {
  return idleUntilMs > clock.now()
}

/** Hosts that have places for too long in vain rest from now on, twice as long each time until they take a chunk. Is there any? */
export function leaveIdleTakers(state: SwarmState): boolean {
  const held = new Map<Host, { ms: number; patienceMs: number }>()
  for (const upload of state.uploads.active) {
    const host = hostOfPeer(state, upload.peer)
    if (host === undefined) continue
    const { ms, patienceMs } = held.get(host) ?? { ms: 0, patienceMs: 0 }
    held.set(host, { ms: ms + placeMs(state, upload), patienceMs: Math.max(patienceMs, patienceFor(state, upload)) })
  }
  const idle = [...held].filter(([, { ms, patienceMs }]) => ms >= patienceMs)
  for (const [host] of idle) rest(state, host)
  return idle.length > 0
}

function rest({ clock, limits }: SwarmState, host: Host): void {
  host.idleUntilMs = clock.now() + Math.min(limits.idleTakerRestMs * 2 ** host.idleRests, limits.banMs)
  host.idleRests++
}

/** A chunk's time at half a Mbit/s for each of its two requests. */
function patienceFor(state: SwarmState, { digest }: Upload): number {
  const session = state.sessions.get(digest)
  const chunkMs = session === undefined ? 0 : slowChunkMs(state, session)
  return Math.max(state.limits.idleTakerMs, state.limits.uploadsPerPeer * chunkMs)
}

/** While this node itself was held up nobody could take anything. */
function placeMs({ link }: SwarmState, { startedAtMs }: Upload): number {
  return link.silenceMs - startedAtMs
}

/** What of the chunk was asked for; 0 where its blob is forgotten. */
function bytesOf({ sessions }: SwarmState, { digest, index, offset }: Upload): number {
  const session = sessions.get(digest)
  return session === undefined ? 0 : lengthOf(session, index) - offset
}

function hostOfPeer(state: SwarmState, id: PeerId): Host | undefined {
  const peer = state.peers.get(id)
  return peer === undefined ? undefined : hostOf(state, peer)
}
