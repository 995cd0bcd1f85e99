/** Links of one rollout, in bits per second of nominal rate. */
export interface Links {
  readonly nodes: number
  readonly originUp: number
  /** The mean, where nodes differ. */
  readonly nodeUp: number
  readonly nodeDown: number
}

/**
 * The least time, in seconds, in which all nodes can have `sizeBytes`, if data were a fluid: the origin must send it
 * once, each node must receive it, and all upload together must carry all copies (Kumar and Ross, "Peer-assisted file
 * distribution: the minimum distribution time", 2006).
 */
export function fluidBoundSeconds(sizeBytes: number, { nodes, originUp, nodeUp, nodeDown }: Links): number {
  const bits = sizeBytes * 8
  return Math.max(bits / originUp, bits / nodeDown, (nodes * bits) / (originUp + nodes * nodeUp))
}
