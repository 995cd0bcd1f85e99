import type { Stream } from '@libp2p/interface'

/** The fields of @libp2p/yamux's streams that matter here; they are not part of its declared interface. */
interface WindowedStream {
  state: number
  recvWindow: number
  recvWindowCapacity: number
  sendWindowUpdate(): void
}

/** `StreamState.Established` in @libp2p/yamux. */
const established = 3

/**
 * @libp2p/yamux answers every frame with a window update, which is an encrypted record and a packet of its own: as many
 * again as there are control messages. Once half the window is used is soon enough (as in hashicorp/yamux, stream.go).
 */
export function updateWindowByHalves(stream: Stream): void {
  if (!isWindowed(stream)) throw new TypeError('the streams of @libp2p/yamux have changed: see yamux-window.ts')
  const update = stream.sendWindowUpdate.bind(stream)
  stream.sendWindowUpdate = () => {
    if (stream.state !== established || stream.recvWindowCapacity <= stream.recvWindow / 2) update()
  }
}

function isWindowed(stream: object): stream is WindowedStream {
  return 'state' in stream && 'recvWindow' in stream && 'recvWindowCapacity' in stream && 'sendWindowUpdate' in stream
}
