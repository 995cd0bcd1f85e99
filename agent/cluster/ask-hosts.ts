/** One question to the hosts of a digest's directory. */
import { limits } from '../../core/limits.ts'
import type { PeerId } from '../../core/ports.ts'

/**
 * What the owner says, else its standby; undefined when both are silent: others take their place soon. `hosts` has them best
 * first; `ask` rejects when the host that it asks does not answer. Whoever knows better who hosts the digest is believed once.
 */
export async function askHosts<Answer extends { readonly ask?: PeerId }>(
  hosts: readonly PeerId[],
  ask: (host: PeerId) => Promise<Answer>,
): Promise<Answer | undefined> {
  for (const host of hosts.slice(0, limits.hostsPerDigest)) {
    const answer = await ask(host).catch(() => undefined)
    if (answer === undefined) continue
    return answer.ask === undefined ? answer : ask(answer.ask).catch(() => undefined)
  }
  return undefined
}
