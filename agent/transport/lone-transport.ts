import { ShoalError } from '../../core/errors.ts'
import type { PeerId } from '../../core/ports.ts'
import type { PeerTransport } from './peer-transport.ts'

/** The network of an agent that stands alone: nobody is there. */
export function createLoneTransport(self: PeerId): PeerTransport {
  return {
    self,
    addresses: () => [],
    start: async () => {},
    stop: async () => {},
    dial: async (peer) => {
      throw new ShoalError('PEER_UNREACHABLE', `This agent stands alone; ${peer} is not asked`)
    },
    disconnect: () => {},
    ban: () => {},
    send: () => {},
    upload: async (peer) => {
      throw new ShoalError('PEER_GONE', `This agent stands alone; ${peer} is not there`)
    },
    on: () => () => {},
    provide: () => {},
    findSeeds: async function* () {},
  }
}
